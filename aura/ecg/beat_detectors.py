"""Beat detectors, one function each: ECG in, R-peaks out.

To add one, write its function here under ``@beat_detector``, and a file in conf/detector that names it.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from aura.core.arrays import Floats, Ints

# Takes (n_samples,) ECG in mV and the sampling rate in Hz; returns (n_beats,) sample indices of the R-peaks, rising.
BeatDetector = Callable[[Floats, float], Ints]
_declared: dict[str, BeatDetector] = {}
# All beat detectors by name. Configurations and saved models can name these, and no other function.
BEAT_DETECTORS: Mapping[str, BeatDetector] = MappingProxyType(_declared)


def beat_detector(function: BeatDetector) -> BeatDetector:
    """Declare a function as a beat detector, under its own name."""
    _declared[function.__name__] = function
    return function


@beat_detector
def sleepecg(ecg_mv: Floats, fs_hz: float) -> Ints:
    """Detect beats with SleepECG's variant of Pan and Tompkins (doi:10.21105/joss.05411).

    Parameters
    ----------
    ecg_mv
        (n_samples,) ECG in millivolts.
    fs_hz
        Sampling rate in hertz.

    Returns
    -------
    (n_beats,) Ints
        Sample indices of the R-peaks, rising.
    """
    from sleepecg import detect_heartbeats

    return np.asarray(detect_heartbeats(ecg_mv, fs_hz), dtype=np.int64)


@beat_detector
def neurokit(ecg_mv: Floats, fs_hz: float) -> Ints:
    """Detect beats with NeuroKit2's own method (doi:10.3758/s13428-020-01516-y), slower and better in heavy noise.

    Its dead time of 0.3 s misses every other beat above 200 bpm.

    Parameters and returns are those of `sleepecg`.
    """
    import neurokit2

    cleaned = neurokit2.ecg_clean(ecg_mv, sampling_rate=fs_hz, method="neurokit")
    _, info = neurokit2.ecg_peaks(cleaned, sampling_rate=fs_hz, method="neurokit")
    return np.asarray(info["ECG_R_Peaks"], dtype=np.int64)


@beat_detector
def manikandan(ecg_mv: Floats, fs_hz: float) -> Ints:
    """Detect beats with NeuroKit2's form of Manikandan and Soman (doi:10.1016/j.bspc.2011.03.004).

    It has no dead time, so it finds a tachycardia of 220 bpm, and no threshold, so T waves and drops of the amplitude
    do not matter. It times a beat by its energy, within about 20 ms of the R-peak, upright or inverted: precise enough
    to check another detector, but not for RR intervals.

    Parameters and returns are those of `sleepecg`.
    """
    import neurokit2

    # NeuroKit2 fails on a beat at the very end.
    padded_mv = np.pad(ecg_mv, (0, round(fs_hz)), mode="edge")
    _, info = neurokit2.ecg_peaks(padded_mv, sampling_rate=fs_hz, method="manikandan2012")
    beats = np.asarray(info["ECG_R_Peaks"], dtype=np.int64)
    return beats[beats < len(ecg_mv)]
