"""Help of a stage: its own keys first, with a line each, then the groups of options."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from aura.config.stage import Stage
from aura.core.paths import CONF

WIDTH = 30
KEY = re.compile(r"( *)([\w-]+):")


def describe_stage(stage: Stage) -> str:
    """Return the text of ``aura STAGE --help``."""
    words = {key: word for word, key in stage.words.items()}
    sections = [key for section in stage.sections for key in _list_keys(section) if key not in words]
    others = [key for name in stage.keys for key in _list_keys(name) if key not in words]
    lines = [
        f"usage: python -m aura {stage.name} [key=value ...] [group=option ...]",
        "",
        f"{stage.help[0].upper()}{stage.help[1:]}.",
        "",
    ]
    if own := [*words, *sections]:
        lines += [f"keys of {stage.name}:", *(_describe_key(key, words.get(key, key)) for key in own), ""]
    if others:
        lines += ["keys that matter here:", *(_describe_key(key, key) for key in others), ""]
    lines += ["groups, each with its options:", *_describe_groups(), ""]
    lines += [
        f"python -m aura {stage.name} --cfg job prints all keys and their values; each can be set in the same way.",
        f"The comments in {CONF} explain every key.",
    ]
    return "\n".join(lines)


def read_comments(path: Path) -> dict[str, str]:
    """Return the comment above each key of a YAML file, by dotted key."""
    comments: dict[str, str] = {}
    above: list[str] = []
    sections: list[tuple[int, str]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("#"):
            above.append(line.strip(" #"))
            continue
        if match := KEY.match(line):
            indent = len(match[1])
            sections = [*(section for section in sections if section[0] < indent), (indent, match[2])]
            if above:
                comments[".".join(name for _, name in sections)] = " ".join(above)
        above = []
    return comments


def format_default(key: str) -> str:
    """Return the shipped value of a key or group as it is written on the command line; nothing for null."""
    return _chosen_options().get(key) or _format_default(_defaults().get(key))


def explain_key(key: str) -> str:
    """Return the first sentence of the comment of a key, or the options of a group."""
    if (CONF / key).is_dir():
        return f"one of {', '.join(_list_options(key))}"
    return re.split(r"(?<=[^.]\.) ", _comments().get(key, ""))[0].rstrip(".")


def _describe_key(key: str, word: str) -> str:
    """Return the line of a key: its word, its default, and the first sentence of its comment."""
    value, sentence = format_default(key), explain_key(key)
    setting = f"{word}={value}"
    gap = " " * (WIDTH - len(setting)) if len(setting) <= WIDTH else "\n" + " " * (WIDTH + 2)
    return f"  {setting}{gap} {sentence}".rstrip()


def _describe_groups() -> Iterator[str]:
    for folder in sorted(path for path in CONF.iterdir() if path.is_dir()):
        yield f"  {folder.name}: {', '.join(_list_options(folder.name))}"


def _list_options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def _list_keys(name: str) -> list[str]:
    """Return a key itself, or the keys of a section; the class of a group is chosen by its option."""
    defaults = _defaults()
    below = [key for key in defaults if key.startswith(f"{name}.") and not key.endswith("._target_")]
    return below or [name]


def _defaults() -> dict[str, Any]:
    """Return the shipped value of each key of ``config.yaml`` and of the default option of each group."""
    shipped = _load(CONF / "config.yaml")
    values: dict[str, Any] = {}
    for group, option in _chosen_options().items():
        values |= _flatten({group: _load_option(CONF / group, option)})
    return values | _flatten({key: value for key, value in shipped.items() if key not in ("defaults", "hydra")})


def _chosen_options() -> dict[str, str]:
    """Return the default option of each group."""
    choices = [choice for choice in _load(CONF / "config.yaml")["defaults"] if isinstance(choice, dict)]
    options = {group: option for choice in choices for group, option in choice.items()}
    return {group: option for group, option in options.items() if option and not group.startswith("override ")}


def _load_option(group: Path, option: str) -> dict[str, Any]:
    """Return the values of an option, on top of those that it extends."""
    values = _load(group / f"{option}.yaml")
    extended: dict[str, Any] = {}
    for other in values.pop("defaults", []):
        if other != "_self_":
            extended |= _load_option(group, other)
    return extended | values


def _comments() -> dict[str, str]:
    comments = read_comments(CONF / "config.yaml")
    default = [CONF / group / f"{option}.yaml" for group, option in _chosen_options().items()]
    # First the options that are the default, since others may give a key another meaning.
    for path in [*default, *sorted(CONF.glob("*/*.yaml"))]:
        for key, comment in read_comments(path).items():
            comments.setdefault(f"{path.parent.name}.{key}", comment)
    return comments


def _load(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return values


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return flat


def _format_default(value: Any) -> str:
    """Format a value as it is written on the command line; nothing for null."""
    if value is None:
        return ""
    if isinstance(value, list):
        return f"[{','.join(map(_format_default, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    # The value of an environment variable may be a secret.
    variable = re.fullmatch(r"\$\{oc\.env:(\w+),.*\}", str(value))
    return f"${variable[1]}" if variable else str(value)
