"""Heart rate variability features of sliding windows."""

import warnings
from typing import Any

from aura.features.extraction import CONTEXT_COLUMNS, extract_features, feature_names, list_features
from aura.features.spec import FeatureSpec
from aura.features.stream import FeatureStream

__all__ = ["CONTEXT_COLUMNS", "FeatureSpec", "FeatureStream", "extract_features", "feature_names", "list_features"]

# Former names, and those of today.
ALIASES = {"extract": "extract_features", "Stream": "FeatureStream"}


def __getattr__(name: str) -> Any:
    """Return an object under its former name, with a warning."""
    if name not in ALIASES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    message = f"aura.features.{name} is now called {ALIASES[name]}"
    warnings.warn(message, DeprecationWarning, stacklevel=2)
    return globals()[ALIASES[name]]
