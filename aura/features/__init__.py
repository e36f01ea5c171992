"""Heart rate variability features of sliding windows."""

from aura.features.extract import FeatureSpec, extract, feature_names

__all__ = ["FeatureSpec", "extract", "feature_names"]
