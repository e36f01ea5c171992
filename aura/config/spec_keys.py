"""Errors of `FeatureSpec` in the words of the configuration."""

import re

# What the configuration calls each parameter; the first that fits counts.
KEYS = {
    "lengths_s.": "windows.lengths_s.",
    "lengths_s": "features.families",
    "step_s": "windows.step_s",
    "min_coverage": "windows.min_coverage",
    "low_ms": "cleaning.low_ms",
    "high_ms": "cleaning.high_ms",
    "max_change": "cleaning.max_change",
    "cleaning": "cleaning.method",
    "engine": "features.engine",
    "pnn_ms": "features.pnn_ms",
}
# Parameters, but not values such as that of engine=cleaning.
PARAMETER = re.compile(r"(?<![\w.=])(?:" + "|".join(map(re.escape, KEYS)) + r")")


def in_config_keys(message: str) -> str:
    """Name the keys of the configuration in a message that names parameters of `FeatureSpec`.

    Examples
    --------
    >>> in_config_keys("low_ms is not below high_ms")
    'cleaning.low_ms is not below cleaning.high_ms'
    >>> in_config_keys("lengths_s.entropy is empty")
    'windows.lengths_s.entropy is empty'
    """
    return PARAMETER.sub(lambda match: KEYS[match[0]], message)
