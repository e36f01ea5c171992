"""Draw an ECG from beats: Gaussian waves (McSharry 2003, doi:10.1109/TBME.2003.808805) and realistic noise."""

from collections.abc import Sequence

import numpy as np
from scipy.signal import butter, lfilter

from aura.core.arrays import Bools, Floats, Ints
from aura.ecg.intervals import LOW_MS
from aura.synthetic.heart import VENTRICULAR, Person, Seizure

# For each wave: height in mV, centre and width in seconds from the R-peak at a heart rate of 60 bpm.
SINUS_WAVES = (
    (0.12, -0.17, 0.025),
    (-0.10, -0.030, 0.009),
    (1.10, 0.0, 0.011),
    (-0.22, 0.030, 0.010),
    (0.30, 0.28, 0.045),
)
VENTRICULAR_WAVES = ((1.30, 0.0, 0.035), (-0.45, 0.09, 0.045), (-0.35, 0.30, 0.060))
REACH_S = (-0.32, 0.60)


def draw_ecg(
    rng: np.random.Generator,
    person: Person,
    beats_s: Floats,
    kinds: Ints,
    seizures: Sequence[Seizure],
    *,
    fs_hz: int,
    duration_s: float,
) -> Floats:
    """Draw the ECG of a recording.

    Parameters
    ----------
    rng
        Generator of all noise.
    person
        The subject.
    beats_s, kinds
        (n_beats,) times of the R-peaks in seconds, and kinds of the beats.
    seizures
        Seizures of the recording; motor seizures add muscle noise.
    fs_hz
        Sampling rate in hertz.
    duration_s
        Length in seconds.

    Returns
    -------
    (duration_s * fs_hz,) Floats
        ECG in millivolts.
    """
    n = round(duration_s * fs_hz)
    ecg_mv = _waves(beats_s, kinds, fs_hz, n) * rng.uniform(0.7, 1.3)
    ecg_mv += _baseline_wander(rng, person, fs_hz, n)
    ecg_mv += _muscle(rng, person, seizures, fs_hz, n)
    ecg_mv += _pops(rng, fs_hz, n)
    if rng.random() < 0.25:
        _lead_off(rng, ecg_mv, fs_hz)
    return ecg_mv


def _waves(beats_s: Floats, kinds: Ints, fs_hz: int, n: int) -> Floats:
    """Return the clean ECG in millivolts, (n,): the sum of the waves of all beats, closer together at a fast rate."""
    ecg_mv = np.zeros(n)
    rr_s = np.diff(beats_s, prepend=beats_s[0] - 1.0)
    pace = np.sqrt(np.clip(rr_s, LOW_MS / 1000, 1.2))[:, None]
    offsets = np.arange(int(REACH_S[0] * fs_hz), int(REACH_S[1] * fs_hz))
    samples = np.round(beats_s * fs_hz).astype(np.int64)[:, None] + offsets
    t_s = samples / fs_hz - beats_s[:, None]
    ventricular = (kinds == VENTRICULAR)[:, None]
    shapes = np.where(ventricular, _sum(VENTRICULAR_WAVES, t_s, pace), _sum(SINUS_WAVES, t_s, pace))
    inside: Bools = (samples >= 0) & (samples < n)
    np.add.at(ecg_mv, samples[inside], shapes[inside])
    return ecg_mv


def _sum(waves: Sequence[tuple[float, float, float]], t_s: Floats, pace: Floats) -> Floats:
    """Return the sum of Gaussian waves in millivolts at times relative to the R-peaks, (n_beats, n_offsets)."""
    total = np.zeros_like(t_s)
    for height_mv, centre_s, width_s in waves:
        # The QRS complex keeps its shape; the P and T waves move with the pace.
        centre = centre_s * (pace if abs(centre_s) > 0.1 else 1.0)
        total += height_mv * np.exp(-0.5 * ((t_s - centre) / width_s) ** 2)
    return total


def _baseline_wander(rng: np.random.Generator, person: Person, fs_hz: int, n: int) -> Floats:
    """Draw the baseline in millivolts, (n,): breathing, and slow drift between knots every 5 s."""
    t_s = np.arange(n) / fs_hz
    knots_s = np.arange(0.0, n / fs_hz + 10, 5.0)
    wander: Floats = 0.08 * np.sin(2 * np.pi * person.breathing_hz * t_s) + np.interp(
        t_s, knots_s, rng.normal(0, 0.12, len(knots_s))
    )
    return wander


def _muscle(rng: np.random.Generator, person: Person, seizures: Sequence[Seizure], fs_hz: int, n: int) -> Floats:
    """Draw muscle noise in millivolts, (n,): constant noise, bursts of movement, and the jerks of motor seizures."""
    level_mv = np.full(n, person.noise_mv)
    duration_s = n / fs_hz
    for _ in range(rng.poisson(duration_s / 3600 * 12)):
        _raise(level_mv, fs_hz, rng.uniform(0, duration_s), rng.uniform(3, 25), rng.lognormal(np.log(0.15), 0.6))
    for seizure in seizures:
        if seizure.motor:
            _raise(level_mv, fs_hz, seizure.onset_s + 3, seizure.duration_s - 3, rng.lognormal(np.log(0.2), 0.4))
    band = butter(2, (15, min(90, 0.45 * fs_hz)), btype="band", fs=fs_hz)
    noise: Floats = lfilter(*band, rng.standard_normal(n)) * level_mv * 1.5
    return noise


def _raise(level_mv: Floats, fs_hz: int, onset_s: float, duration_s: float, to_mv: float) -> None:
    """Raise a stretch of the noise level to at least ``to_mv``, in place."""
    span = slice(int(onset_s * fs_hz), int((onset_s + duration_s) * fs_hz))
    level_mv[span] = np.maximum(level_mv[span], to_mv)


def _pops(rng: np.random.Generator, fs_hz: int, n: int) -> Floats:
    """Draw electrode pops in millivolts, (n,): jumps of several millivolts that decay within a second."""
    steps = np.zeros(n)
    n_pops = rng.poisson(n / fs_hz / 3600 * 4)
    steps[rng.integers(0, n, n_pops)] = rng.normal(0, 3, n_pops)
    decay = np.exp(-1 / (0.4 * fs_hz))
    pops: Floats = lfilter([1.0], [1.0, -decay], steps)
    return pops


def _lead_off(rng: np.random.Generator, ecg_mv: Floats, fs_hz: int) -> None:
    """Set a stretch of 5 to 90 s to zero, in place, as a loose electrode does."""
    length = min(int(rng.uniform(5, 90) * fs_hz), len(ecg_mv) // 4)
    first = int(rng.integers(0, len(ecg_mv) - length))
    ecg_mv[first : first + length] = 0.0
