"""What a run is called, and the parameters that it logs: what its stage uses and what differs from the default."""

import shlex
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from aura.config.compose import compose
from aura.config.disclosure import public
from aura.config.schema import Config
from aura.config.scope import Scope, dotted, scope_of
from aura.config.stage import Stage, find_stages

TARGET = "_target_"
# A name longer than this is cut in the lists of MLflow.
LONGEST_NAME = 80
# mlflow run logs the parameters of MLproject in the run too, empty ones as '', and none can be logged twice. So options
# of groups are logged as `model.kind`, and:
RENAMED = {"seed": "random.seed"}
# Units at the end of keys.
UNITS = {"_s": " s", "_ms": " ms", "_mv": " mV"}


def list_parameters(stage: str, config: Config) -> dict[str, str]:
    """Return the parameters that the run of a stage logs.

    These are the options and values that the stage declares in `Stage.logs`, and of all others in `Stage.uses` those
    that differ from the default. A value that is empty is left out. ``config.yaml`` of the run has all values.

    Parameters
    ----------
    stage
        Name of the stage; a trial of a sweep and a job of a multirun log what a training logs.
    config
        Configuration of the run.
    """
    declared = _find_stage(stage)
    if declared is None:
        return {}
    default, default_choices = _defaults()
    typed = {override.partition("=")[0].lstrip("+") for override in config.overrides}
    chosen = {
        f"{group}.kind": option
        for group, option in config.choices.items()
        if group in declared.logs or (_is_used(declared, group) and option != default_choices.get(group))
    }
    values = {}
    for key, value in dotted(public(config)):
        is_other = key not in default or default[key] != value
        # The option of the group says the same, unless the target itself was typed.
        if not _is_used(declared, key) or (key.endswith(f".{TARGET}") and key not in typed):
            continue
        if (is_other and (value not in (None, [], {}) or default.get(key))) or (_is_logged(declared, key) and value):
            values[RENAMED.get(key, key)] = format_value(value)
    return {**_first(chosen, values, "dataset.name"), **chosen, **values}


def name_run(stage: str, config: Config) -> str:
    """Name the run of a stage by its experiment and by what was set: ``train window_length · poincare 30 s``."""
    declared = _find_stage(stage)
    words = [*_describe_overrides(declared, config)] if declared else []
    experiment = config.choices.get("experiments")
    name = " ".join([stage, *([experiment] if experiment else [])])
    for number, word in enumerate(words):
        longer = f"{name} · {word}"
        if len(longer) > LONGEST_NAME:
            return f"{name} · {len(words) - number} more"
        name = longer
    return name


def describe_run(stage: str, config: Config, software: str, result: str = "") -> str:
    """Describe a run in Markdown: its result, its question, and the command that repeats it.

    Parameters
    ----------
    stage, config
        Name and configuration of the stage.
    software
        Version of the software.
    result
        The result in a sentence; a list of runs shows its beginning.
    """
    values = dict(dotted(public(config)))
    words = []
    for override in config.overrides:
        key = override.partition("=")[0].lstrip("+~")
        if key == "dataset.root":
            words.append("dataset.root=...")
        elif key in values or (key in config.choices and scope_of(Config, key) > Scope.PRIVATE) or key == "experiments":
            words.append(shlex.quote(override))
    command = " ".join(["python -m aura", {"trial": "train"}.get(stage, stage), *words])
    parts = (result, config.question or "", f"Run again with {software}:\n\n    {command}")
    return "\n\n".join(part for part in parts if part)


def format_value(value: Any) -> str:
    """Format a value for people: a list of one as its element, 60.0 as 60."""
    if isinstance(value, list):
        return ", ".join(map(format_value, value))
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value).removesuffix(".0")


def describe_setting(key: str, value: Any) -> str:
    """Describe a setting in a few words: ``poincare 30 s`` for ``windows.lengths_s.poincare=[30]``."""
    section, _, name = key.rpartition(".")
    ending = section if section.endswith("lengths_s") else name
    unit = next((unit for suffix, unit in UNITS.items() if ending.endswith(suffix)), "")
    if ending == name and unit:
        name = name[: name.rindex("_")]
    number = f"{value:.3g}" if isinstance(value, float) else format_value(value)
    return f"{name} {number}{unit}"


def _describe_overrides(stage: Stage, config: Config) -> Iterator[str]:
    """Describe each setting that was typed, if it may be logged and the stage uses it."""
    values = dict(dotted(public(config)))
    for override in config.overrides:
        key = override.partition("=")[0].lstrip("+")
        # Each corpus has the same settings in all its runs.
        if not _is_used(stage, key) or key.split(".")[0] == "dataset":
            continue
        if key in config.choices and scope_of(Config, key) > Scope.PRIVATE:
            yield f"{key} {config.choices[key]}"
        elif key in values:
            yield describe_setting(key, values[key])


def _find_stage(name: str) -> Stage | None:
    return find_stages().get("train" if name in ("trial", "job") else name)


@cache
def _defaults() -> tuple[Mapping[str, Any], Mapping[str, str]]:
    """Return the logged values and the options of the default configuration."""
    config = compose()
    return dict(dotted(public(config))), config.choices


def _is_used(stage: Stage, key: str) -> bool:
    return any(key == used or key.startswith(f"{used}.") for used in stage.uses)


def _is_logged(stage: Stage, key: str) -> bool:
    return any(key == logged or (logged.endswith(".*") and key.startswith(logged[:-1])) for logged in stage.logs)


def _first(chosen: Mapping[str, str], values: Mapping[str, str], key: str) -> dict[str, str]:
    return {key: values[key]} if key in values else {}
