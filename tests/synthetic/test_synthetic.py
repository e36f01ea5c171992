from dataclasses import replace
from pathlib import Path

import edfio
import numpy as np
import pandas as pd
import pytest

from aura.assembly import build_recipe, open_features
from aura.config.compose import compose
from aura.corpora.layouts import tusz15
from aura.detection.components import build_labelling
from aura.evaluation.operating_point import compute_event_curve
from aura.learning.feature_table import FeatureTable
from aura.synthetic.corpus import ECG_LABELS, plan, write_subject
from aura.synthetic.heart import draw_confounder, draw_person, draw_seizure
from aura.synthetic.synthesis import Synthesis
from tests.support.project import Project

SMALL = Synthesis(
    seed=3,
    subjects=4,
    hours_per_subject=0.34,
    recording_minutes=10,
    seizures_per_subject=2,
    arousals_per_hour=8,
    exercises_per_hour=1.5,
    eeg_channels=19,
    layout="tusz15",
)


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert any(one.n_seizures for subject in plan(SMALL) for one in subject)
        for subject in plan(SMALL):
            assert write_subject(subject, SMALL, tmp_path / name) == len(subject)
            assert write_subject(subject, SMALL, tmp_path / name) == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    other = replace(SMALL, seed=4)
    write_subject(next(plan(other)), other, tmp_path / "three")
    name = tusz15.place(0, 0).edf.as_posix()
    assert contents(tmp_path / "three")[name] != contents(tmp_path / "one")[name]


def test_a_recording_looks_like_one_of_tuh(tmp_path: Path) -> None:
    rates = set()
    for subject in plan(replace(SMALL, subjects=12, hours_per_subject=0.17)):
        write_subject(subject, SMALL, tmp_path)
        edf = edfio.read_edf(tmp_path / tusz15.place(subject[0].subject, 0).edf)
        assert edf.num_signals == 22
        (ecg,) = [signal for signal in edf.signals if signal.label in ECG_LABELS]
        assert sum(signal.sampling_frequency == 1 for signal in edf.signals) == 2
        assert edf.duration == 600
        rates.add(ecg.sampling_frequency)
    assert rates <= {250, 256, 512}
    assert len(rates) > 1


def test_the_truth_is_written_beside_the_corpus(corpus: Path) -> None:
    for edf in corpus.rglob("*.edf"):
        beats = pd.read_csv(corpus / "truth" / f"{edf.stem}_beats.csv")
        events = pd.read_csv(corpus / "truth" / f"{edf.stem}_events.csv")
        assert beats["t_s"].is_monotonic_increasing
        assert set(beats["kind"]) <= {"normal", "ventricular", "supraventricular"}
        annotated = edf.with_suffix(".tse_bi").read_text().count("seiz")
        assert (events["kind"] == "seizure").sum() == annotated


def test_the_priors_are_those_of_the_literature() -> None:
    rng = np.random.default_rng(0)
    people = [draw_person(rng) for _ in range(3000)]
    seizures = [draw_seizure(rng, person, 100.0, 40.0) for person in people]
    risen = np.array([s.rise_bpm > 0 for s in seizures])
    # 65-70 % of seizures raise the heart rate, and about half of the people are responders.
    assert 0.60 < risen.mean() < 0.72
    assert 0.45 < np.mean([person.responder for person in people]) < 0.55
    assert 72 < np.mean([person.resting_bpm for person in people]) < 76
    # 45 % of the rises lead the onset in the EEG, by a median of 7 s.
    leads_s = np.array([s.lead_s for s in seizures])
    assert 0.40 < (leads_s > 0).mean() < 0.50
    assert 6 < np.median(leads_s[leads_s > 0]) < 8
    arousals = [draw_confounder(rng, "arousal", 0.0).rise_bpm for _ in range(3000)]
    assert 14 < np.median(arousals) < 22


def test_tachycardias_outnumber_seizures(corpus: Path) -> None:
    events = pd.concat([pd.read_csv(path) for path in (corpus / "truth").glob("*_events.csv")])
    assert (events["kind"] != "seizure").sum() > (events["kind"] == "seizure").sum() > 0


def test_a_threshold_on_heart_rate_alone_misses_seizures_and_raises_false_alarms(trained: Project) -> None:
    config = compose(trained.overrides)
    store = open_features(config)
    table = FeatureTable(store, store.recordings, 4.0, build_labelling("labels", config.labels))
    bpm = table.features.index("mean_hr__10s")
    heart_rates = [table.read(number)[:, bpm].astype(np.float64) for number in range(len(table))]
    trial = build_recipe(compose([*trained.overrides, "alarms.smoothing_s=0", "alarms.release=1"]))
    curve = compute_event_curve(trial.score(table, heart_rates), trial.alarms, trial.rules)
    # Wherever it finds most seizures it alarms for nothing many times a day; where it does not, it misses most.
    assert curve.loc[curve["sensitivity"] > 0.7, "false_alarms_per_24h"].min() > 24
    assert curve.loc[curve["false_alarms_per_24h"] < 12, "sensitivity"].max() < 0.7
    assert curve["f1"].max() < 0.85
