"""Heart rate variability features of sliding windows."""

import warnings
from typing import TYPE_CHECKING, Any

import lazy_loader

if TYPE_CHECKING:
    from aura.features.extraction import CONTEXT_COLUMNS, extract_features, feature_names, list_features
    from aura.features.spec import FeatureSpec
    from aura.features.stream import FeatureStream

__all__ = ["CONTEXT_COLUMNS", "FeatureSpec", "FeatureStream", "extract_features", "feature_names", "list_features"]

# Former names, and those of today.
ALIASES = {"extract": "extract_features", "Stream": "FeatureStream"}
# The configuration needs the specification alone, and not pandas, which costs a third of a second.
_get, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "extraction": ["CONTEXT_COLUMNS", "extract_features", "feature_names", "list_features"],
        "spec": ["FeatureSpec"],
        "stream": ["FeatureStream"],
    },
)


def __getattr__(name: str) -> Any:
    """Import an object when it is first used; under its former name, with a warning."""
    if name not in ALIASES:
        return _get(name)
    message = f"aura.features.{name} is now called {ALIASES[name]}"
    warnings.warn(message, DeprecationWarning, stacklevel=2)
    return _get(ALIASES[name])
