"""Check that detected beats look like heartbeats: QRS complexes stand out, and resemble each other."""

from bisect import bisect_right
from collections.abc import Iterator

import numpy as np

from aura.core.arrays import Bools, Floats, Ints
from aura.core.events import Event
from aura.core.recordings import Ecg
from aura.ecg.quality import EPOCH_S, runs_to_events

NOISE = "noise"
# Band of most of the energy of a QRS complex (its peak is at 17 Hz: Thakor 1984, doi:10.1109/TBME.1984.325393).
BAND_HZ = (5.0, 30.0)
# Reach of a QRS complex around its peak, and of the samples that are compared between beats.
PEAK_S, BEFORE_S, AFTER_S = 0.05, 0.08, 0.12
# Prominence: median height of the QRS complexes, divided by the median of all samples, both without sign. On MIT-BIH it
# is 5 to 70, including 6 dB of electrode motion and 220 bpm; white, muscle and EEG-like noise has at most 3.3, with few
# beats alike. QRS complexes of 0.14 s at 240 bpm fill so much of the time that it is 3, but all are alike. Mains and
# alpha waves are alike as well; a sine has 1.4, and 1.7 if sampled coarsely.
MIN_PROMINENCE, MIN_PROMINENCE_IF_ALIKE, MIN_ALIKE = 4.0, 2.0, 0.5
# Correlation with the median beat of the epoch that makes a beat like the others, and the fewest beats to compare.
MIN_CORRELATION, MIN_BEATS = 0.8, 3
# Epochs filtered together, to bound the memory, and seconds that the filter needs to settle.
BLOCK_EPOCHS, SETTLING_S = 360, 2.0


def judge_beats(ecg: Ecg, beats_s: Floats) -> tuple[tuple[Event, ...], float]:
    """Find the stretches in which beats do not stand out of the ECG, and the share of the others that are alike.

    Each epoch of 10 s is judged on its own, so slow changes of the ECG or its amplitude do not matter, and no rhythm or
    heart rate is required.

    Parameters
    ----------
    ecg
        The recording.
    beats_s
        (n_beats,) times of its beats in seconds, rising.

    Returns
    -------
    noise : tuple of Event
        Of kind ``noise``: the QRS complexes are less than 4 times as high as the median of all samples, or less than 2
        times if most of them are alike.
    alike_share : float
        Share of the beats outside of noise that are like the median beat of their epoch; NaN without beats.
    """
    from scipy.signal import butter, sosfiltfilt

    n, fs_hz = len(ecg.digital), ecg.fs_hz
    band = butter(2, (BAND_HZ[0], min(BAND_HZ[1], 0.45 * fs_hz)), btype="band", fs=fs_hz, output="sos")
    settling = round(SETTLING_S * fs_hz)
    n_epochs = max(round(n / fs_hz / EPOCH_S), 1)
    # Gaps are ignored: thousands of segments per day would take minutes if each were filtered on its own.
    edges = np.round(np.arange(n_epochs + 1) * EPOCH_S * fs_hz).astype(np.int64)
    edges[-1] = n
    peaks, lost = _samples(ecg, beats_s), np.zeros(n_epochs, dtype=np.bool_)
    n_alike, n_compared = 0, 0
    for begin in range(0, n_epochs, BLOCK_EPOCHS):
        block = edges[begin : begin + BLOCK_EPOCHS + 1]
        first, stop = max(int(block[0]) - settling, 0), min(int(block[-1]) + settling, n)
        inside = peaks[slice(*np.searchsorted(peaks, block[[0, -1]]))] - first
        # A block shorter than the filter cannot be judged.
        if stop - first <= fs_hz or not len(inside):
            continue
        filtered_mv = sosfiltfilt(band, ecg.mv(first, stop))
        by_epoch = np.split(inside, np.searchsorted(inside, block[1:-1] - first))
        for epoch, beats in enumerate(by_epoch):
            level_mv = np.median(np.abs(filtered_mv[block[epoch] - first : block[epoch + 1] - first]))
            alike = _are_alike(filtered_mv, beats, fs_hz)
            least = MIN_PROMINENCE_IF_ALIKE if alike.sum() > MIN_ALIKE * len(alike) else MIN_PROMINENCE
            if len(beats) and np.median(_heights_mv(filtered_mv, beats, fs_hz)) < least * level_mv:
                lost[begin + epoch] = True
            else:
                n_alike, n_compared = n_alike + int(alike.sum()), n_compared + len(alike)
    noise = tuple(
        event
        for run in runs_to_events(lost.astype(np.int64), edges.astype(np.float64), [None, NOISE])
        for event in _on_the_clock(ecg, run)
    )
    return noise, n_alike / n_compared if n_compared else float("nan")


def _samples(ecg: Ecg, beats_s: Floats) -> Ints:
    """Return the sample index of each beat, rising."""
    onsets_s, firsts = (np.array([getattr(segment, name) for segment in ecg.segments]) for name in ("onset_s", "first"))
    # A beat can be half a sample before its segment.
    segments = np.maximum(np.searchsorted(onsets_s, beats_s + 0.5 / ecg.fs_hz, side="right") - 1, 0)
    samples = np.round((beats_s - onsets_s[segments]) * ecg.fs_hz).astype(np.int64) + firsts[segments]
    inside: Ints = np.clip(samples, 0, len(ecg.digital) - 1)
    return inside


def _on_the_clock(ecg: Ecg, run: Event) -> Iterator[Event]:
    """Yield the parts of a run of samples, one per segment, on the recording's clock."""
    begin, end = round(run.onset_s), round(run.end_s)
    at = bisect_right(ecg.segments, begin, key=lambda segment: segment.first) - 1
    for number in range(at, len(ecg.segments)):
        segment = ecg.segments[number]
        if segment.first >= end:
            return
        first, stop = max(begin, segment.first), min(end, segment.stop)
        onset_s = segment.onset_s + (first - segment.first) / ecg.fs_hz
        yield Event(onset_s, (stop - first) / ecg.fs_hz, run.kind)


def _heights_mv(filtered_mv: Floats, peaks: Ints, fs_hz: float) -> Floats:
    """Return the height of each QRS complex in mV, without sign."""
    reach = np.arange(-int(PEAK_S * fs_hz), int(PEAK_S * fs_hz) + 1)
    around_mv = np.abs(filtered_mv[np.clip(peaks[:, None] + reach, 0, len(filtered_mv) - 1)])
    heights_mv: Floats = around_mv.max(axis=1)
    return heights_mv


def _are_alike(filtered_mv: Floats, peaks: Ints, fs_hz: float) -> Bools:
    """Return whether each beat is like the median beat; empty for fewer than 3 beats."""
    before, after = int(BEFORE_S * fs_hz), int(AFTER_S * fs_hz)
    peaks = peaks[(peaks >= before) & (peaks + after < len(filtered_mv))]
    if len(peaks) < MIN_BEATS:
        return np.zeros(0, dtype=np.bool_)
    beats = _centred(filtered_mv[peaks[:, None] + np.arange(-before, after + 1)])
    median = _centred(np.median(beats, axis=0, keepdims=True))
    alike: Bools = (beats @ median.T)[:, 0] >= MIN_CORRELATION
    return alike


def _centred(beats: Floats) -> Floats:
    """Return the beats without their mean, scaled to unit length; zeros stay zeros."""
    beats = beats - beats.mean(axis=1, keepdims=True)
    length = np.linalg.norm(beats, axis=1, keepdims=True)
    unit: Floats = np.divide(beats, length, out=np.zeros_like(beats), where=length > 0)
    return unit
