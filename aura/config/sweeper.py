"""``hydra/sweeper=optuna``, which other projects use, as the command of `aura sweep` that does the same.

The plugin hydra-optuna-sweeper needs Optuna 2, and knows neither held-out subjects nor killed processes.
"""

import math
import shlex
from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, QuotedString, RangeSweep
from hydra.errors import HydraException

# What keys of the plugin are called here.
KEYS = {"n_trials": "sweep.n_trials", "storage": "sweep.storage", "study_name": "sweep.study"}


def explain_sweeper(words: Sequence[str]) -> str | None:
    """Return a sentence with the equivalent ``aura sweep``; None unless the words ask for Hydra's sweeper of Optuna.

    Parameters
    ----------
    words
        Overrides, and options of Hydra.

    Examples
    --------
    >>> text = explain_sweeper(["-m", "hydra/sweeper=optuna", "seed=3", "windows.step_s=choice(1,3)"])
    >>> print(text.partition("write: ")[2])
    python -m aura sweep seed=3 'sweep.space={windows.step_s: {type: categorical, choices: [1, 3]}}'
    """
    names = {word.partition("=")[0].lstrip("+").replace("/", "."): word.partition("=")[2] for word in words}
    if names.get("hydra.sweeper") != "optuna":
        return None
    try:
        command, left_out = _translate([word for word in words if not word.startswith("-")])
    except HydraException:
        # The words are wrong in another way, which Hydra explains.
        return None
    note = f" (left out: {', '.join(left_out)})" if left_out else ""
    return (
        "hydra/sweeper=optuna is the stage sweep here, which tests the best trial on subjects that no trial saw; "
        "write: "
        f"{shlex.join(['python', '-m', 'aura', 'sweep', *command])}{note}"
    )


def _translate(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the words of `aura sweep` for those of the plugin, and those that have no equivalent."""
    command, left_out, space = [], [], []
    for word in words:
        override = OverridesParser.create().parse_override(word)
        key = override.key_or_group.replace("/", ".")
        name = key.removeprefix("hydra.sweeper.")
        dimension = _describe(override.value() if override.is_sweep_override() else None)
        if dimension:
            space.append(f"{override.key_or_group}: {dimension}")
        elif key == "hydra.sweeper":
            continue
        elif name in KEYS and name != key:
            command.append(f"{KEYS[name]}={word.partition('=')[2]}")
        elif name.split(".")[0] == "sampler" and name != key:
            command.append(f"{name}={word.partition('=')[2]}")
        elif key.startswith("hydra."):
            left_out.append(word)
        else:
            command.append(word)
    if space:
        command.append(f"sweep.space={{{', '.join(space)}}}")
    return command, left_out


def _describe(values: Any) -> str | None:
    """Return a dimension of ``sweep.space`` for a sweep of Hydra; None for other values."""
    if isinstance(values, ChoiceSweep):
        return f"{{type: categorical, choices: {_write(values.list)}}}"
    if isinstance(values, RangeSweep) and values.start is not None and values.stop is not None:
        # Hydra's ranges end before their stop.
        n_steps = math.ceil(round((values.stop - values.start) / values.step, 9)) - 1
        high = round(values.start + n_steps * values.step, 12)
        kind = "int" if all(isinstance(each, int) for each in (values.start, values.step)) else "float"
        step = f", step: {values.step}" if values.step != 1 or kind == "float" else ""
        return f"{{type: {kind}, low: {values.start}, high: {high}{step}}}"
    if isinstance(values, IntervalSweep):
        kind = "int" if {type(values.start), type(values.end)} == {int} else "float"
        log = ", log: true" if "log" in values.tags else ""
        return f"{{type: {kind}, low: {values.start}, high: {values.end}{log}}}"
    return None


def _write(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_write, value))}]"
    if isinstance(value, QuotedString):
        return value.with_quotes()
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)
