"""Draw a heart rate over time, with seizures and with similar tachycardias, and the beats that follow from it.

How often, how high and how long the heart rate rises is taken from the literature on ictal tachycardia, reviewed by
Eggleston 2014 (doi:10.1016/j.seizure.2014.02.012).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aura.core.arrays import Bools, Floats, Ints
from aura.ecg.intervals import HIGH_MS, LOW_MS

GRID_HZ = 20.0
# Limits of the heart rate, the same as in the cleaning: 20 to 250 bpm.
RATES_BPM = (60_000 / HIGH_MS, 60_000 / LOW_MS)
NORMAL, VENTRICULAR, SUPRAVENTRICULAR = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Person:
    """The traits of a subject, the same in all recordings."""

    resting_bpm: float
    responder: bool
    temporal: bool
    sinus_arrhythmia: float
    breathing_hz: float
    mayer_wave: float
    drift_bpm: float
    ectopic_per_day: float
    noise_mv: float


@dataclass(frozen=True, slots=True)
class Seizure:
    """A seizure and the response of the heart; ``rise_bpm`` is 0 if there is none."""

    onset_s: float
    duration_s: float
    motor: bool
    rise_bpm: float
    lead_s: float
    raised_s: float
    dips: bool
    oscillates: bool


@dataclass(frozen=True, slots=True)
class Confounder:
    """A rise of the heart rate without a seizure: an arousal or exercise."""

    kind: str
    onset_s: float
    duration_s: float
    rise_bpm: float


def draw_person(rng: np.random.Generator) -> Person:
    """Draw the traits of a subject."""
    return Person(
        resting_bpm=float(np.clip(rng.normal(74, 9), 52, 100)),
        responder=bool(rng.random() < 0.5),
        temporal=bool(rng.random() < 0.6),
        sinus_arrhythmia=float(rng.lognormal(np.log(0.035), 0.5)),
        breathing_hz=float(rng.uniform(0.19, 0.32)),
        mayer_wave=float(rng.lognormal(np.log(0.02), 0.4)),
        drift_bpm=float(rng.uniform(2.0, 5.0)),
        ectopic_per_day=float(np.clip(rng.lognormal(np.log(40), 1.6), 1, 1700)),
        noise_mv=float(rng.lognormal(np.log(0.03), 0.5)),
    )


def draw_seizure(rng: np.random.Generator, person: Person, onset_s: float, duration_s: float) -> Seizure:
    """Draw the response of the heart to a seizure: often and strong in responders, rare and weak in others."""
    rises = rng.random() < (0.92 if person.responder else 0.4)
    if person.temporal:
        height_bpm, raised_s = rng.normal(60, 26), rng.normal(94, 55)
    else:
        height_bpm, raised_s = rng.normal(23, 26), rng.normal(39, 21)
    if not person.responder:
        height_bpm *= 0.5
    motor = bool(duration_s > 20 and rng.random() < 0.4)
    if motor and rises:
        height_bpm = max(height_bpm, rng.normal(132, 12) - person.resting_bpm)
    # In 45 % of seizures the rise precedes the onset in the EEG, by a median of 7 s.
    early = rng.random() < 0.45
    lead_s = rng.lognormal(np.log(7), 0.6) if early else -rng.exponential(6)
    return Seizure(
        onset_s=onset_s,
        duration_s=duration_s,
        motor=motor,
        rise_bpm=float(np.clip(height_bpm, 5, 100)) if rises else 0.0,
        lead_s=float(lead_s),
        raised_s=float(np.clip(raised_s, 12, 240)),
        dips=bool(motor and rng.random() < 0.3),
        oscillates=bool(motor and rng.random() < 0.3),
    )


def draw_confounder(rng: np.random.Generator, kind: str, onset_s: float) -> Confounder:
    """Draw an arousal (fast and short, sometimes as high as in a seizure) or exercise (slow and long)."""
    if kind == "arousal":
        return Confounder(
            kind, onset_s, float(rng.uniform(8, 60)), float(np.clip(rng.lognormal(np.log(18), 0.5), 6, 60))
        )
    return Confounder(kind, onset_s, float(rng.uniform(90, 360)), float(rng.uniform(20, 60)))


def draw_beats(
    rng: np.random.Generator,
    person: Person,
    duration_s: float,
    seizures: Sequence[Seizure],
    confounders: Sequence[Confounder],
) -> tuple[Floats, Ints]:
    """Draw the beats of a recording by integral pulse frequency modulation.

    Parameters
    ----------
    rng
        Generator of all random numbers.
    person
        The subject.
    duration_s
        Length of the recording in seconds.
    seizures, confounders
        Events that raise the heart rate.

    Returns
    -------
    beats_s : (n_beats,) Floats
        Times of the R-peaks in seconds, rising.
    kinds : (n_beats,) Ints
        `NORMAL`, `VENTRICULAR` or `SUPRAVENTRICULAR`.
    """
    t_s = np.arange(int(duration_s * GRID_HZ), dtype=np.float64) / GRID_HZ
    rise_bpm, vagal = _responses(t_s, seizures, confounders)
    rate_bpm = person.resting_bpm + _drift(rng, t_s, person.drift_bpm) + rise_bpm
    breathing = 2 * np.pi * np.cumsum(person.breathing_hz * (1 + _smooth_noise(rng, t_s, 20.0, 0.12))) / GRID_HZ
    mayer = 2 * np.pi * np.cumsum(0.095 * (1 + _smooth_noise(rng, t_s, 40.0, 0.1))) / GRID_HZ
    variability = (
        person.sinus_arrhythmia * np.sin(breathing)
        + person.mayer_wave * np.sin(mayer)
        + _smooth_noise(rng, t_s, 1.0, 0.008)
    )
    rate_bpm = np.clip(rate_bpm * (1 + vagal * variability), *RATES_BPM)
    turns = np.cumsum(rate_bpm) / 60 / GRID_HZ
    beats_s = np.interp(np.arange(1, np.floor(turns[-1]) + 1), turns, t_s)
    return _ectopy(rng, beats_s, person.ectopic_per_day * duration_s / 86400)


def _responses(t_s: Floats, seizures: Sequence[Seizure], confounders: Sequence[Confounder]) -> tuple[Floats, Floats]:
    """Return the rise of the heart rate in bpm and the remaining share of the vagal tone, (n,) each."""
    rise_bpm, vagal = np.zeros_like(t_s), np.ones_like(t_s)
    for s in seizures:
        if s.rise_bpm:
            shape = _plateau(t_s, s.onset_s - s.lead_s, max(s.raised_s, s.duration_s), up_s=4.0, down_s=25.0)
            rise_bpm += s.rise_bpm * shape
            vagal *= 1 - 0.8 * shape
        end_s = s.onset_s + s.duration_s
        if s.dips:
            rise_bpm -= 50 * _plateau(t_s, end_s + 5, 17.0, up_s=2.0, down_s=4.0)
        if s.oscillates:
            swing = _plateau(t_s, end_s + 10, 240.0, up_s=5.0, down_s=40.0)
            rise_bpm += 8 * swing * np.sin(2 * np.pi * 0.04 * (t_s - end_s))
    for c in confounders:
        up_s, down_s = (3.0, 8.0) if c.kind == "arousal" else (30.0, 60.0)
        shape = _plateau(t_s, c.onset_s, c.duration_s, up_s=up_s, down_s=down_s)
        rise_bpm += c.rise_bpm * shape
        vagal *= 1 - (0.2 if c.kind == "arousal" else 0.45) * shape
    return rise_bpm, vagal


def _plateau(t_s: Floats, onset_s: float, duration_s: float, *, up_s: float, down_s: float) -> Floats:
    """Return a curve, (n,), that rises from 0 to 1 at the onset, stays there, and returns exponentially."""
    up = 1 - np.exp(-np.clip(t_s - onset_s, 0, None) / up_s)
    down = np.exp(-np.clip(t_s - onset_s - duration_s, 0, None) / down_s)
    shape: Floats = up * down
    return shape


def _smooth_noise(rng: np.random.Generator, t_s: Floats, scale_s: float, sd: float) -> Floats:
    """Draw noise, (n,), that changes over ``scale_s`` seconds: white noise at knots, interpolated linearly."""
    knots_s = np.arange(0.0, t_s[-1] + 2 * scale_s, scale_s)
    noise: Floats = np.interp(t_s, knots_s, rng.normal(0, sd, len(knots_s)))
    return noise


def _drift(rng: np.random.Generator, t_s: Floats, sd_bpm: float) -> Floats:
    """Draw slow changes of the heart rate in bpm, (n,), over minutes."""
    return _smooth_noise(rng, t_s, 180.0, sd_bpm) + _smooth_noise(rng, t_s, 45.0, sd_bpm / 2)


def _ectopy(rng: np.random.Generator, beats_s: Floats, expected: float) -> tuple[Floats, Ints]:
    """Make some beats premature, with the pause after them; return the times in seconds and the kinds, (n_beats,)."""
    kinds = np.zeros(len(beats_s), dtype=np.int64)
    early: Bools = rng.random(len(beats_s)) < expected / max(len(beats_s), 1)
    early[:1] = False
    early[1:] &= ~early[:-1]
    ventricular = rng.random(len(beats_s)) < 0.5
    kinds[early] = np.where(ventricular[early], VENTRICULAR, SUPRAVENTRICULAR)
    rr_s = np.diff(beats_s, prepend=0.0)
    return beats_s - np.where(early, np.where(ventricular, 0.36, 0.26) * rr_s, 0.0), kinds
