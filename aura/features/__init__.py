"""Heart rate variability features of sliding windows."""

from aura.features.extract import FeatureSpec, extract

__all__ = ["FeatureSpec", "extract"]
