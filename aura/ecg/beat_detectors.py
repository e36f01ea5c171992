"""Heartbeat detectors, one function each: ECG in, R-peaks out."""

import numpy as np

from aura.core.arrays import Floats, Ints


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


def manikandan(ecg_mv: Floats, fs_hz: float) -> Ints:
    """Detect beats with NeuroKit2's form of Manikandan and Soman (doi:10.1016/j.bspc.2011.03.004).

    It has no dead time, so a tachycardia of 220 bpm is found, and no threshold, so neither T waves nor a drop of the
    amplitude matter. It times a beat by its energy, within some 20 ms of the R-peak, upright or inverted: enough to
    check another detector by, and too little for RR intervals.

    Parameters and returns are those of `sleepecg`.
    """
    import neurokit2

    # NeuroKit2 fails on a beat at the very end.
    padded_mv = np.pad(ecg_mv, (0, round(fs_hz)), mode="edge")
    _, found = neurokit2.ecg_peaks(padded_mv, sampling_rate=fs_hz, method="manikandan2012")
    beats = np.asarray(found["ECG_R_Peaks"], dtype=np.int64)
    return beats[beats < len(ecg_mv)]


def neurokit(ecg_mv: Floats, fs_hz: float) -> Ints:
    """Detect beats with NeuroKit2's own method (doi:10.3758/s13428-020-01516-y): slower, better in heavy noise.

    It has a dead time of 0.3 s, so it misses every other beat above 200 bpm.

    Parameters and returns are those of `sleepecg`.
    """
    import neurokit2

    cleaned = neurokit2.ecg_clean(ecg_mv, sampling_rate=fs_hz, method="neurokit")
    _, found = neurokit2.ecg_peaks(cleaned, sampling_rate=fs_hz, method="neurokit")
    return np.asarray(found["ECG_R_Peaks"], dtype=np.int64)
