"""Heart rate variability features of sliding windows."""

from aura.features.extract import BESIDE, extract, feature_names, names_of
from aura.features.spec import FeatureSpec
from aura.features.stream import Stream

__all__ = ["BESIDE", "FeatureSpec", "Stream", "extract", "feature_names", "names_of"]
