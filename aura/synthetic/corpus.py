"""Write the synthetic corpus: EDF files and annotations in any layout, and the true beats and events beside them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from aura.core.arrays import Floats, Ints
from aura.core.events import Event
from aura.core.files import write_whole
from aura.corpora.layout import AnnotatedRecording, Place
from aura.corpora.layouts import writable_layouts
from aura.formats.edf_writer import Channel, write_edf
from aura.synthetic.ecg import draw_ecg
from aura.synthetic.heart import Confounder, Person, Seizure, draw_beats, draw_confounder, draw_person, draw_seizure
from aura.synthetic.synthesis import Synthesis

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
class Plan:
    """A recording to write; its annotations are written together with those of the subject's other recordings."""

    subject: int
    recording: int
    n_seizures: int


def plan(synthesis: Synthesis) -> Iterator[list[Plan]]:
    """Yield the recordings of each subject, with their numbers of seizures.

    As in real corpora, a few subjects have most of the seizures.
    """
    n_recordings = max(round(synthesis.hours_per_subject * 60 / synthesis.recording_minutes), 1)
    most = int(synthesis.recording_minutes * 60 // (3 * SPACING_S))
    for subject in range(synthesis.subjects):
        rng = np.random.default_rng([synthesis.seed, subject])
        wanted = 1 + rng.poisson(rng.gamma(1.0, max(synthesis.seizures_per_subject - 1, 0)))
        counts = rng.multinomial(wanted, np.full(n_recordings, 1 / n_recordings))
        yield [Plan(subject, recording, int(min(count, most))) for recording, count in enumerate(counts)]


def write_subject(plans: Sequence[Plan], synthesis: Synthesis, root: Path) -> int:
    """Write the recordings of a subject, their annotations and their truth, unless they exist.

    Returns
    -------
    int
        Number of recordings written now.
    """
    layout = writable_layouts()[synthesis.layout]
    assert layout.place is not None
    places = [layout.place(plan.subject, plan.recording) for plan in plans]
    missing = [not all(path.is_file() for path in (*_edfs(root, place), *_truth(root, place))) for place in places]
    if not any(missing) and all(place.annotations is None or (root / place.annotations).is_file() for place in places):
        return 0
    annotated: dict[Path, list[AnnotatedRecording]] = {}
    for plan, place, is_missing in zip(plans, places, missing, strict=True):
        drawn = _write_recording(plan, synthesis, root, place) if is_missing else _draw_events(plan, synthesis)[1]
        seizures = tuple(Event(seizure.onset_s, seizure.duration_s) for seizure in drawn)
        if place.annotations is not None:
            recording = AnnotatedRecording(_start(plan), _duration_s(synthesis), seizures)
            annotated.setdefault(root / place.annotations, []).append(recording)
    for path, recordings in annotated.items():
        assert layout.write_events is not None
        layout.write_events(path, recordings)
    return max(sum(missing), 1)


def _edfs(root: Path, place: Place) -> list[Path]:
    return [root / path for path in (place.edf, place.eeg) if path is not None]


def _truth(root: Path, place: Place) -> list[Path]:
    return [root / "truth" / f"{place.recording}_{name}.csv" for name in ("beats", "events")]


def _duration_s(synthesis: Synthesis) -> float:
    return float(round(synthesis.recording_minutes * 60))


def _start(plan: Plan) -> datetime:
    return FIRST_DAY + timedelta(hours=2 * plan.recording)


def _write_recording(plan: Plan, synthesis: Synthesis, root: Path, place: Place) -> list[Seizure]:
    """Write a recording, its true beats and events; return its seizures."""
    duration_s = _duration_s(synthesis)
    rng, seizures, confounders, person = _draw_events(plan, synthesis)
    fs_hz = (250, 256, 512)[
        int(np.random.default_rng([synthesis.seed, plan.subject, 2]).choice(3, p=[0.45, 0.4, 0.15]))
    ]
    beats_s, kinds = draw_beats(rng, person, duration_s, seizures, confounders)
    ecg_mv = draw_ecg(rng, person, beats_s, kinds, seizures, fs_hz=fs_hz, duration_s=duration_s)

    ecg_label = str(rng.choice(ECG_LABELS, p=ECG_LABEL_SHARES))
    eeg = [*_eeg(rng, synthesis.eeg_channels, fs_hz, ecg_mv), *_slow(rng, duration_s)]
    channels = [[*eeg[:-2], Channel(ecg_label, ecg_mv * 1000, fs_hz), *eeg[-2:]]]
    if place.eeg is not None:
        channels = [[Channel("ECG SD", ecg_mv * 1000, fs_hz)], eeg]
    for edf, content in zip(_edfs(root, place), channels, strict=True):
        write_whole(edf, partial(write_edf, channels=content, start=_start(plan), patient=f"{plan.subject + 1:08d}"))
    _write_truth(_truth(root, place), beats_s, kinds, seizures, confounders)
    return seizures


def _draw_events(
    plan: Plan, synthesis: Synthesis
) -> tuple[np.random.Generator, list[Seizure], list[Confounder], Person]:
    """Draw the events of a recording: seizures apart from each other, and tachycardias anywhere.

    The generator is returned as well, since the rest of the recording continues its sequence of random numbers.
    """
    person = draw_person(np.random.default_rng([synthesis.seed, plan.subject, 1]))
    rng = np.random.default_rng([synthesis.seed, plan.subject, 3, plan.recording])
    duration_s = _duration_s(synthesis)
    slots = duration_s / max(plan.n_seizures, 1)
    seizures = []
    for i in range(plan.n_seizures):
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
    return rng, seizures, confounders, person


def _eeg(rng: np.random.Generator, n_channels: int, fs_hz: int, ecg_mv: Floats) -> list[Channel]:
    """Draw EEG-like channels: slow noise and a small share of the ECG, as scalp electrodes record it."""
    channels = []
    for site in EEG_SITES[:n_channels]:
        noise = rng.standard_normal(len(ecg_mv), dtype=np.float32)
        eeg_uv = lfilter([2.0], [1.0, -0.96], noise) + rng.normal(0, 8) * ecg_mv
        channels.append(Channel(f"EEG {site}-REF", eeg_uv, fs_hz))
    return channels


def _slow(rng: np.random.Generator, duration_s: float) -> list[Channel]:
    """Draw channels of 1 Hz, which TUH files contain as well."""
    return [Channel(label, rng.integers(0, 50, int(duration_s)).astype(np.float64), 1) for label in SLOW_LABELS]


def _write_truth(
    paths: list[Path], beats_s: Floats, kinds: Ints, seizures: list[Seizure], confounders: list[Confounder]
) -> None:
    """Write the true beats and events as CSV files; no detector reads them."""
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
