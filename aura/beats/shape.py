"""Whether the beats that a detector found look like heartbeats: QRS complexes stand out, and resemble each other."""

from collections.abc import Iterator

import numpy as np
from scipy.signal import butter, sosfiltfilt

from aura.quality import EPOCH_S, events_of_runs
from aura.types import Bools, Ecg, Event, Floats, Ints

NOISE = "noise"
# Where a QRS complex has most of its energy (Thakor 1984, doi:10.1109/TBME.1984.325393, has 17 Hz for its peak).
BAND_HZ = (5.0, 30.0)
# Reach of a QRS complex around its peak, and of what is compared between beats.
PEAK_S, BEFORE_S, AFTER_S = 0.05, 0.08, 0.12
# Height of the QRS complexes over the median of all samples, each without sign. On MIT-BIH it is 5 to 70, 6 dB of
# electrode motion and 220 bpm included; white, muscle, EEG-like and mains noise has 3.3 at most.
MIN_PROMINENCE = 4.0
# Correlation with the median beat of the epoch from which on a beat is like the others, which have to be two.
MIN_CORRELATION, MIN_BEATS = 0.8, 3
# Epochs that are filtered together, to bound the memory, and seconds that the filter needs to settle.
BLOCK_EPOCHS, SETTLING_S = 360, 2.0


def judge_beats(ecg: Ecg, beats_s: Floats) -> tuple[tuple[Event, ...], float]:
    """Find the stretches in which beats do not stand out of the ECG, and how far the others resemble each other.

    Each epoch of 10 s is judged by itself, so neither a slow change of the ECG nor a change of its amplitude matters,
    and no rhythm or heart rate is asked for.

    Parameters
    ----------
    ecg
        The recording.
    beats_s
        (n_beats,) times of its beats in seconds, rising.

    Returns
    -------
    noise : tuple of Event
        Of kind ``noise``: the QRS complexes are less than 4 times as high as the median of all samples.
    alike_share : float
        Share of the beats outside of such stretches that are like the median beat of their 10 s; NaN without beats.
    """
    noise, n_alike, n_compared = list[Event](), 0, 0
    for onset_s, edges, filtered_mv, first in _blocks(ecg):
        peaks = np.round((beats_s - onset_s) * ecg.fs_hz).astype(np.int64)
        peaks = peaks[(peaks >= edges[0]) & (peaks < edges[-1])]
        epochs = np.searchsorted(edges, peaks, side="right") - 1
        bad = _are_lost(filtered_mv, edges - first, peaks - first, epochs, ecg.fs_hz)
        noise += events_of_runs(bad.astype(np.int64), onset_s + edges / ecg.fs_hz, [None, NOISE])
        for epoch in np.flatnonzero(~bad):
            alike = _are_alike(filtered_mv, peaks[epochs == epoch] - first, ecg.fs_hz)
            n_alike, n_compared = n_alike + int(alike.sum()), n_compared + len(alike)
    return tuple(noise), n_alike / n_compared if n_compared else float("nan")


def _blocks(ecg: Ecg) -> Iterator[tuple[float, Ints, Floats, int]]:
    """Per block: onset of its segment, edges of its epochs in samples of that, filtered ECG, and its first sample."""
    band_hz = (BAND_HZ[0], min(BAND_HZ[1], 0.45 * ecg.fs_hz))
    band = butter(2, band_hz, btype="band", fs=ecg.fs_hz, output="sos")
    settling = round(SETTLING_S * ecg.fs_hz)
    for segment in ecg.segments:
        n = segment.stop - segment.first
        n_epochs = max(round(n / ecg.fs_hz / EPOCH_S), 1)
        edges = np.round(np.arange(n_epochs + 1) * EPOCH_S * ecg.fs_hz).astype(np.int64)
        edges[-1] = n
        for begin in range(0, n_epochs, BLOCK_EPOCHS):
            block = edges[begin : begin + BLOCK_EPOCHS + 1]
            first, stop = max(int(block[0]) - settling, 0), min(int(block[-1]) + settling, n)
            # Shorter than the filter is long, there is nothing to judge.
            if stop - first > ecg.fs_hz:
                filtered_mv = sosfiltfilt(band, ecg.mv(segment.first + first, segment.first + stop))
                yield segment.onset_s, block, filtered_mv, first


def _are_lost(filtered_mv: Floats, edges: Ints, peaks: Ints, epochs: Ints, fs_hz: float) -> Bools:
    """(n_epochs,) whether the beats of each epoch are lost in what is around them; an epoch without beats is not."""
    size_mv = np.abs(filtered_mv)
    reach = np.arange(-int(PEAK_S * fs_hz), int(PEAK_S * fs_hz) + 1)
    heights_mv = size_mv[np.clip(peaks[:, None] + reach, 0, len(size_mv) - 1)].max(axis=1, initial=0.0)
    lost = np.zeros(len(edges) - 1, dtype=np.bool_)
    for epoch in np.unique(epochs):
        level_mv = np.median(size_mv[edges[epoch] : edges[epoch + 1]])
        lost[epoch] = np.median(heights_mv[epochs == epoch]) < MIN_PROMINENCE * level_mv
    return lost


def _are_alike(filtered_mv: Floats, peaks: Ints, fs_hz: float) -> Bools:
    """Whether each beat is like the median beat; empty where there are too few to tell."""
    before, after = int(BEFORE_S * fs_hz), int(AFTER_S * fs_hz)
    peaks = peaks[(peaks >= before) & (peaks + after < len(filtered_mv))]
    if len(peaks) < MIN_BEATS:
        return np.zeros(0, dtype=np.bool_)
    beats = _centred(filtered_mv[peaks[:, None] + np.arange(-before, after + 1)])
    median = _centred(np.median(beats, axis=0, keepdims=True))
    alike: Bools = (beats @ median.T)[:, 0] >= MIN_CORRELATION
    return alike


def _centred(beats: Floats) -> Floats:
    """Beats without their mean, each of length 1; zeros stay zeros."""
    beats = beats - beats.mean(axis=1, keepdims=True)
    length = np.linalg.norm(beats, axis=1, keepdims=True)
    unit: Floats = np.divide(beats, length, out=np.zeros_like(beats), where=length > 0)
    return unit
