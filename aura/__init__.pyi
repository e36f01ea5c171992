from .config.compose import compose
from .core.events import Event
from .core.recordings import Ecg
from .core.series import RRSeries
from .detection.detector import SeizureDetector, load_detector
from .ecg.beats import detect_beats
from .ecg.intervals import rr_from_beats, rr_from_peaks
from .features.extraction import extract_features
from .features.spec import FeatureSpec
from .features.stream import FeatureStream
from .formats.sources import read_ecg, read_rr
from .learning.labels import Detection, Forecasting
from .workspace.prepared import PreparedCorpus

__all__ = [
    "Detection",
    "Ecg",
    "Event",
    "FeatureSpec",
    "FeatureStream",
    "Forecasting",
    "PreparedCorpus",
    "RRSeries",
    "SeizureDetector",
    "compose",
    "detect_beats",
    "extract_features",
    "load_detector",
    "read_ecg",
    "read_rr",
    "rr_from_beats",
    "rr_from_peaks",
]

__version__: str
