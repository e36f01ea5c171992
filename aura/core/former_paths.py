"""Import paths of earlier versions, which older models, studies and configurations still contain."""

from collections.abc import Mapping
from types import MappingProxyType

CURRENT: Mapping[str, str] = MappingProxyType(
    {
        "aura.alarms.Alarms": "aura.detection.alarms.Alarms",
        "aura.baselines.OneFeature": "aura.learning.baselines.OneFeature",
        "aura.beats.detectors.manikandan": "aura.ecg.beat_detectors.manikandan",
        "aura.beats.detectors.neurokit": "aura.ecg.beat_detectors.neurokit",
        "aura.beats.detectors.sleepecg": "aura.ecg.beat_detectors.sleepecg",
        "aura.compute.Dask": "aura.execution.dask.Dask",
        "aura.compute.Processes": "aura.execution.executors.Processes",
        "aura.compute.Serial": "aura.execution.executors.Serial",
        "aura.labels.Detection": "aura.learning.labels.Detection",
        "aura.labels.Forecasting": "aura.learning.labels.Forecasting",
        "aura.split.BySubject": "aura.learning.splits.BySubject",
        "aura.split.KFold": "aura.learning.splits.KFold",
        "aura.split.LeaveOneSubjectOut": "aura.learning.splits.LeaveOneSubjectOut",
        "aura.split.Official": "aura.learning.splits.Official",
        "aura.split.Personal": "aura.learning.splits.Personal",
    }
)


def current_path(path: str) -> str:
    """Return the current import path; a path that never changed is returned unchanged."""
    return CURRENT.get(path, path)


def former_path(path: str) -> str:
    """Return the import path of earlier versions, for digests that must stay as they were."""
    return next((former for former, current in CURRENT.items() if current == path), path)
