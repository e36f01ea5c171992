"""Write ``MLproject`` from what the stages declare: ``python -m aura.config.mlproject > MLproject``."""

import re
from collections.abc import Iterator

from aura.config.help import explain_key, format_default
from aura.config.schema import Config
from aura.config.stage import Stage, find_stages
from aura.core.ranges import Range, get_ranges
from aura.features.spec import FeatureSpec

HEAD = """\
# Written by `make mlproject` from what the stages declare.
name: aura

conda_env: conda.yaml

# A parameter that is not given keeps the value of the configuration, which its comment names.
# -P KEY=VALUE sets any other key of the configuration, such as -P alarms.smoothing_s=20. experiment is the name of a
# file in experiments/. overrides holds several key=value words: -P overrides="model.max_depth=8 windows.step_s=2".
entry_points:
"""
# Runs in containers only.
HIDDEN = ("szcore",)


def write_mlproject() -> str:
    """Return the text of ``MLproject``."""
    return HEAD + "\n".join(line for stage in find_stages().values() for line in _describe_stage(stage)) + "\n"


def _describe_stage(stage: Stage) -> Iterator[str]:
    if stage.name in HIDDEN:
        return
    words = {**stage.words, **stage.knobs}
    yield f"  {stage.name}:"
    yield "    parameters:"
    for word, key in words.items():
        yield _describe_parameter(stage, word, key)
    yield '      experiment: {type: string, default: ""}'
    yield '      overrides: {type: string, default: ""}'
    # Words before -- are taken as they are; MLflow passes all overrides as one word, which is split.
    given = "".join(f" {word}={{{word}}}" for word in words)
    yield f'    command: "python -m aura {stage.name}{given} -- experiments={{experiment}} {{overrides}}"'


def _describe_parameter(stage: Stage, word: str, key: str) -> str:
    default, allowed = format_default(key), _find_range(stage, key)
    is_number = re.fullmatch(r"[\d.]+", default.strip("[]")) is not None
    limits = allowed and f"{allowed.low:g} to {allowed.high:g}"
    meaning = "; ".join(part for part in (explain_key(key), default and f"default {default}", limits) if part)
    return f'      {word}: {{type: {"float" if is_number else "string"}, default: ""}}  # {meaning}'.rstrip(" #")


def _find_range(stage: Stage, key: str) -> Range | None:
    section, _, name = key.rpartition(".")
    owner = {"": Config, "windows": FeatureSpec, **stage.sections}.get(section)
    return get_ranges(owner).get(name) if owner else None


if __name__ == "__main__":
    print(write_mlproject(), end="")
