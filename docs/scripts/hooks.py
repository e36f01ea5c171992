"""Fill the pages of the site with what the code and the configuration declare; mkdocs calls it."""

import re
from pathlib import Path
from typing import Any

from aura.config.stage import find_stages

PROJECT = Path(__file__).parents[2]
NOTEBOOKS = PROJECT / "docs" / "notebooks"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace each ``<!-- insert: NAME [ARGUMENT] -->`` of a page, and the italic line after it, by generated Markdown.

    The italic line is what the page shows in the repository, where nothing is generated.
    """
    return re.sub(r"<!-- insert: (\S+) ?(\S*) -->(?:\n\*.+\*$)?", _insert, markdown, flags=re.MULTILINE)


def _insert(match: re.Match[str]) -> str:
    name, argument = match.groups()
    return INSERTS[name](argument)


def describe_stages(_: str) -> str:
    """Return the table of commands and their shorthand keys."""
    rows = ["| Command | What it does | Its own keys |", "|---|---|---|"]
    for stage in find_stages().values():
        keys = " ".join(f"`{word}=`" for word in stage.words)
        rows.append(f"| `{stage.name}` | {stage.help} | {keys} |")
    return "\n".join(rows)


def describe_config(_: str) -> str:
    """Return the configuration's root file as it is."""
    return _show_yaml(PROJECT / "conf" / "config.yaml")


def describe_groups(_: str) -> str:
    """Return a section per configuration group with all its options."""
    parts = []
    for group in sorted(path for path in (PROJECT / "conf").iterdir() if path.is_dir() and path.name != "experiments"):
        parts.append(f"### `{group.name}`")
        parts += [f"`{group.name}={path.stem}`\n\n{_show_yaml(path)}" for path in sorted(group.glob("*.yaml"))]
    return "\n\n".join(parts)


def list_families(_: str) -> str:
    """Return the directives that document each feature family."""
    modules = sorted(path.stem for path in (PROJECT / "aura/features/families").glob("[!_]*.py"))
    return "\n\n".join(f"::: aura.features.families.{module}" for module in modules)


def describe_notebook(name: str) -> str:
    """Return a notebook in percent format as Markdown: text cells as text, code cells as code."""
    source = (NOTEBOOKS / name).read_text(encoding="utf-8")
    cells = []
    for cell in re.split(r"^# %%", source, flags=re.MULTILINE)[1:]:
        kind, _, body = cell.partition("\n")
        if "[markdown]" in kind:
            cells.append(re.sub(r"^# ?", "", body.strip(), flags=re.MULTILINE))
        else:
            cells.append(f"```python\n{body.strip()}\n```")
    return "\n\n".join(cells)


def _show_yaml(path: Path) -> str:
    return f"```yaml\n{path.read_text(encoding='utf-8').strip()}\n```"


INSERTS = {
    "stages": describe_stages,
    "config": describe_config,
    "groups": describe_groups,
    "families": list_families,
    "notebook": describe_notebook,
}
