"""Recordings of the synthetic corpus: EDF and annotations in the layout of TUSZ 1.5, and the truth beside them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from aura.datasets.edf import Channel, write_edf
from aura.datasets.tse import write_tse
from aura.synthetic.ecg import draw_ecg
from aura.synthetic.heart import Confounder, Person, Seizure, beats, draw_confounder, draw_person, draw_seizure
from aura.table import write_whole
from aura.types import Event, Floats, Ints

ECG_LABELS = ("EEG EKG1-REF", "EEG EKG-LE", "EEG EKG-REF", "ECG EKG-REF")
ECG_LABEL_SHARES = (0.70, 0.24, 0.03, 0.03)
EEG_SITES = (
    *("FP1", "FP2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2", "F7", "F8", "T3", "T4", "T5", "T6"),
    *("FZ", "CZ", "PZ", "A1", "A2", "T1", "T2"),
)
SLOW_LABELS = ("IBI", "BURSTS")
FIRST_DAY = datetime(2003, 7, 21, 8, 0)
SPACING_S = 180.0


@dataclass(frozen=True, slots=True)
class Synthesis:
    """What decides the corpus, to the byte.

    Parameters
    ----------
    seed
        Of all random numbers.
    subjects
        How many.
    hours_per_subject, recording_minutes
        Length of a subject's recordings together, and of one of them.
    seizures_per_subject
        Expected number; at least one each, and no more than a recording has room for.
    arousals_per_hour, exercises_per_hour
        Expected number of tachycardias that are no seizures.
    eeg_channels
        EEG-like channels beside the ECG and two of 1 Hz.
    """

    seed: int
    subjects: int
    hours_per_subject: float
    recording_minutes: float
    seizures_per_subject: float
    arousals_per_hour: float
    exercises_per_hour: float
    eeg_channels: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One recording to make."""

    subject: int
    recording: int
    n_seizures: int

    @property
    def subject_id(self) -> str:
        """As TUSZ 1.5 writes it: eight digits."""
        return f"{self.subject + 1:08d}"

    @property
    def recording_id(self) -> str:
        """As TUSZ 1.5 writes it."""
        return f"{self.subject_id}_s001_t{self.recording:03d}"

    def folder(self, root: Path) -> Path:
        """Folder of its session under the root of the corpus."""
        return root / "edf" / "train" / "01_tcp_ar" / self.subject_id[3:6] / self.subject_id / "s001_2003_07_21"


def plan(synthesis: Synthesis) -> Iterator[Plan]:
    """Say which recordings the corpus has and how many seizures each gets.

    Seizures per subject are uneven, as in life: a few subjects have most of them.
    """
    n_recordings = max(round(synthesis.hours_per_subject * 60 / synthesis.recording_minutes), 1)
    most = int(synthesis.recording_minutes * 60 // (3 * SPACING_S))
    for subject in range(synthesis.subjects):
        rng = np.random.default_rng([synthesis.seed, subject])
        wanted = 1 + rng.poisson(rng.gamma(1.0, max(synthesis.seizures_per_subject - 1, 0)))
        counts = rng.multinomial(wanted, np.full(n_recordings, 1 / n_recordings))
        for recording, count in enumerate(counts):
            yield Plan(subject, recording, int(min(count, most)))


def write_recording(plan: Plan, synthesis: Synthesis, root: Path) -> bool:
    """Write a recording, its annotations and its truth, unless they are there.

    Returns
    -------
    bool
        Whether it was written now.
    """
    edf = plan.folder(root) / f"{plan.recording_id}.edf"
    annotations = edf.with_suffix(".tse_bi")
    truth = [root / "truth" / f"{plan.recording_id}_{name}.csv" for name in ("beats", "events")]
    if all(path.is_file() for path in (edf, annotations, *truth)):
        return False
    person = draw_person(np.random.default_rng([synthesis.seed, plan.subject, 1]))
    fs_hz = (250, 256, 512)[
        int(np.random.default_rng([synthesis.seed, plan.subject, 2]).choice(3, p=[0.45, 0.4, 0.15]))
    ]
    rng = np.random.default_rng([synthesis.seed, plan.subject, 3, plan.recording])
    duration_s = float(round(synthesis.recording_minutes * 60))
    seizures, confounders = _events(rng, person, plan.n_seizures, synthesis, duration_s)
    beats_s, kinds = beats(rng, person, duration_s, seizures, confounders)
    ecg_mv = draw_ecg(rng, person, beats_s, kinds, seizures, fs_hz=fs_hz, duration_s=duration_s)

    ecg_label = str(rng.choice(ECG_LABELS, p=ECG_LABEL_SHARES))
    channels = [
        *_eeg(rng, synthesis.eeg_channels, fs_hz, ecg_mv),
        Channel(ecg_label, ecg_mv * 1000, fs_hz),
        *_slow(rng, duration_s),
    ]
    start = FIRST_DAY + timedelta(hours=2 * plan.recording)
    write_whole(edf, lambda path: write_edf(path, channels, start=start, patient=plan.subject_id))
    _write_truth(truth, beats_s, kinds, seizures, confounders)
    write_whole(annotations, lambda path: write_tse(path, _tiles(seizures, duration_s)))
    return True


def _events(
    rng: np.random.Generator, person: Person, n_seizures: int, synthesis: Synthesis, duration_s: float
) -> tuple[list[Seizure], list[Confounder]]:
    """Seizures that leave each other room, and tachycardias anywhere."""
    slots = duration_s / max(n_seizures, 1)
    seizures = []
    for i in range(n_seizures):
        # Median 33.5 s, tenth percentile 10 s, ninetieth 124 s.
        length_s = float(np.clip(rng.lognormal(np.log(33.5), 1.02), 5, min(600, slots - SPACING_S)))
        onset_s = slots * i + SPACING_S / 2 + rng.uniform(0, slots - SPACING_S - length_s)
        seizures.append(draw_seizure(rng, person, round(onset_s, 4), round(length_s, 4)))
    hours = duration_s / 3600
    confounders = [
        draw_confounder(rng, kind, float(rng.uniform(0, duration_s)))
        for kind, per_hour in (("arousal", synthesis.arousals_per_hour), ("exercise", synthesis.exercises_per_hour))
        for _ in range(rng.poisson(per_hour * hours))
    ]
    return seizures, confounders


def _eeg(rng: np.random.Generator, n_channels: int, fs_hz: int, ecg_mv: Floats) -> list[Channel]:
    """Slow noise and a little of the ECG, as electrodes on a head see it."""
    channels = []
    for site in EEG_SITES[:n_channels]:
        noise = rng.standard_normal(len(ecg_mv), dtype=np.float32)
        eeg_uv = lfilter([2.0], [1.0, -0.96], noise) + rng.normal(0, 8) * ecg_mv
        channels.append(Channel(f"EEG {site}-REF", eeg_uv, fs_hz))
    return channels


def _slow(rng: np.random.Generator, duration_s: float) -> list[Channel]:
    """Channels of 1 Hz, as TUH files mix in."""
    return [Channel(label, rng.integers(0, 50, int(duration_s)).astype(np.float64), 1) for label in SLOW_LABELS]


def _tiles(seizures: list[Seizure], duration_s: float) -> list[Event]:
    """Seizures and the background between them, as TUSZ 1.5 writes them."""
    edges = [0.0, *(edge for s in seizures for edge in (s.onset_s, s.onset_s + s.duration_s)), duration_s]
    return [
        Event(onset_s, end_s - onset_s, "seiz" if i % 2 else "bckg")
        for i, (onset_s, end_s) in enumerate(pairwise(edges))
    ]


def _write_truth(
    paths: list[Path], beats_s: Floats, kinds: Ints, seizures: list[Seizure], confounders: list[Confounder]
) -> None:
    """Write the beats and the events as CSV: what no detector is told."""
    names = np.array(["normal", "ventricular", "supraventricular"])
    beat_table = pd.DataFrame({"t_s": np.round(beats_s, 6), "kind": names[kinds]})
    event_table = pd.DataFrame(
        [("seizure", s.onset_s, s.duration_s, s.rise_bpm, s.motor) for s in seizures]
        + [(c.kind, c.onset_s, c.duration_s, c.rise_bpm, False) for c in confounders],
        columns=["kind", "onset_s", "duration_s", "rise_bpm", "motor"],
    )
    for path, table in zip(paths, (beat_table, event_table), strict=True):
        text = table.to_csv(index=False, lineterminator="\n", float_format="%.6f")
        write_whole(path, partial(Path.write_text, data=text))
