"""The documentation site is complete, builds without a warning, and loads nothing from elsewhere."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

import aura
from aura.config.stage import find_stages
from aura.core.paths import PROJECT

pytestmark = pytest.mark.slow

STAGES = find_stages()
DOCS = PROJECT / "docs"
PAGES = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
# What a browser loads by itself: scripts, style sheets, pictures and fonts, but not links for a reader to follow.
LOADED = re.compile(r"<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=\"?((?:https?:)?//[^\">\s]+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=PROJECT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    return folder


def test_each_page_is_built(site: Path) -> None:
    assert {page.removesuffix(".md") for page in PAGES} <= {
        path.relative_to(site).as_posix().removesuffix(".html") for path in site.rglob("*.html")
    }


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    loaded = {
        (path.name, address)
        for path in site.rglob("*.html")
        for address in LOADED.findall(path.read_text(encoding="utf-8"))
    }
    assert loaded == set()
    assert LOADED.findall('<script src="https://example.org/x.js">') == ["https://example.org/x.js"]


def test_no_style_sheet_loads_anything_from_elsewhere(site: Path) -> None:
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)\"']+", styles) == []


def test_each_command_is_in_the_reference(site: Path) -> None:
    page = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    assert all(f"<code>{stage}</code>" in page for stage in STAGES)


def test_the_table_of_inputs_and_outputs_has_each_command() -> None:
    page = (DOCS / "reference" / "commands.md").read_text(encoding="utf-8")
    table = page.partition("## What stages read and write")[2].partition("\n## ")[0]
    first_cells = " ".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`([\w-]+)`", first_cells)) == set(STAGES)


def test_each_configuration_file_is_in_the_reference(site: Path) -> None:
    page = (site / "reference" / "configuration.html").read_text(encoding="utf-8")
    options = [path for path in (PROJECT / "conf").glob("*/*.yaml") if path.parent.name != "experiments"]
    assert len(options) > 20
    assert all(f"{path.parent.name}={path.stem}" in page for path in options)


def test_pages_reached_from_the_navigation_are_all_there_are() -> None:
    """A page that the navigation leaves out is found by nobody."""

    def pages(entry: object) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        children = entry.values() if isinstance(entry, dict) else entry
        return [page for child in children for page in pages(child)]  # type: ignore[attr-defined]

    config = yaml.safe_load((PROJECT / "mkdocs.yml").read_text(encoding="utf-8"))
    listed = pages(config["nav"])
    assert sorted(listed) == sorted(PAGES)


def test_modules_named_on_the_way_through_train_exist() -> None:
    page = (DOCS / "how-it-works.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(aura(?:\.\w+)+)`", page))
    assert len(named) >= 8
    assert [name for name in sorted(named) if find_spec(name) is None] == []


def test_each_way_through_train_passes_five_modules_at_most() -> None:
    page = (DOCS / "how-it-works.md").read_text(encoding="utf-8")
    for way in ("recording", "configuration value"):
        drawing = page.partition(f"## The way of a {way}")[2].partition("\n## ")[0]
        assert 1 <= len(re.findall(r"^`aura\.", drawing, re.MULTILINE)) <= 5


def test_pictures_are_small() -> None:
    assert sum(path.stat().st_size for path in DOCS.rglob("*.png")) < 500_000


def test_the_table_of_the_api_has_each_public_name() -> None:
    page = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
    first_cells = " ".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
    assert {name.partition("(")[0] for name in re.findall(r"`([^`]+)`", first_cells)} == set(aura.__all__)
