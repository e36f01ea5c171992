"""Read when the data records of an EDF+ file begin (format: doi:10.1016/S1388-2457(03)00123-8).

The annotation signal of each data record starts with a time stamp. A file that claims to be contiguous can still have
gaps, and single stamps can be missing or wrong, so stamps are compared with each other before they are used.
"""

import math
import os
import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from aura.core.arrays import Bools, Floats
from aura.core.errors import RecordingError
from aura.core.series import MAX_DURATION_S
from aura.formats.edf_header import Header

# The first annotation of a data record: its onset, perhaps a duration, and no text.
STAMP = re.compile(rb"[\s\0]*([+-]?\d{1,12}(?:[.,]\d{0,20})?)(?:\x15[\d.,]*)?\x14\x14")
# No stamp is longer.
STAMP_BYTES = 96
# A month of one-second records has fewer.
MAX_STAMPS = 3_000_000
# Onsets of records jitter by less than JITTER_S. A run of records keeps its own clock until it is off by DRIFT_S.
JITTER_S = 0.02
DRIFT_S = 0.25
# A clock set back by more than this continues from another time; a smaller step costs the overlapping records.
SET_BACK_S = 60.0


@dataclass(frozen=True, slots=True)
class Run:
    """Data records ``[first, stop)`` without a gap between them; the first begins at ``onset_s``."""

    first: int
    stop: int
    onset_s: float


@dataclass(frozen=True, slots=True)
class Clock:
    """When the data records begin.

    Parameters
    ----------
    runs
        Runs in the order of time; a single one if the recording was never interrupted.
    start_s
        Start of the first run in seconds from the start in the header; None if the stamps count from another time.
    contiguous
        Whether there is no gap, so that a truncated last record has a known time.
    n_excluded
        Number of data records without a known time.
    remarks
        Codes, as in `aura.core.recordings.Ecg`.
    """

    runs: tuple[Run, ...]
    start_s: float | None
    contiguous: bool
    n_excluded: int = 0
    remarks: tuple[str, ...] = ()


def read_clock(file: BinaryIO, header: Header) -> Clock:
    """Read when the data records of a file begin.

    If a file claims to be contiguous, the first and the last stamp are read; if they contradict the claim, all are.

    Raises
    ------
    RecordingError
        ``bad_clock`` if the file is too long, or if it has gaps (EDF+D) and its stamps do not tell where.
    """
    n = header.n_records
    if (n + (header.rest_bytes > 0)) * header.record_s > MAX_DURATION_S:
        raise RecordingError("bad_clock", f"says it is longer than {MAX_DURATION_S / 86_400:g} days")
    if not n:
        return _contiguous(0, None)
    if header.timekeeping is None:
        if header.gaps:
            raise RecordingError("bad_clock", "is EDF+D, with gaps in time, but has no time stamps")
        return _contiguous(n, None)
    if not header.gaps:
        ends_s = _read_stamps(file, header, [0, n - 1])
        if abs(ends_s[1] - ends_s[0] - (n - 1) * header.record_s) <= DRIFT_S:
            return _contiguous(n, ends_s[0])
    if n > MAX_STAMPS:
        raise RecordingError("bad_clock", f"has {n} data records, too many to read their time stamps: {MAX_STAMPS}")
    return _place_records(_read_stamps(file, header, range(n)), header)


def _contiguous(n_records: int, first_s: float | None, *remarks: str) -> Clock:
    """Return the clock of a file without gaps; its first stamp is the fraction of the second at which it began."""
    start_s = first_s if first_s is not None and abs(first_s) < 1 else None
    return Clock((Run(0, n_records, 0.0),), start_s, contiguous=True, remarks=remarks)


def _read_stamps(file: BinaryIO, header: Header, records: range | list[int]) -> Floats:
    """Read stamps of data records in seconds from the start in the header, (len(records),); NaN if missing."""
    assert header.timekeeping is not None
    at = header.data_at + 2 * sum(header.samples[: header.timekeeping])
    n_bytes = min(2 * header.samples[header.timekeeping], STAMP_BYTES)
    stamps_s = np.full(len(records), np.nan)
    for i, record in enumerate(records):
        match = STAMP.match(os.pread(file.fileno(), n_bytes, at + record * header.record_bytes))
        if match:
            stamps_s[i] = float(match[1].replace(b",", b"."))
    return stamps_s


def _place_records(stamps_s: Floats, header: Header) -> Clock:
    """Place the data records in time by their stamps."""
    n, record_s = len(stamps_s), header.record_s
    jitter_s = min(JITTER_S, record_s / 2)
    usable_s, set_back = _rising_stamps(stamps_s, record_s, jitter_s)
    usable = np.isfinite(usable_s)
    believed = _place_most(usable) if header.gaps else _contradict(usable_s, record_s, jitter_s)
    onsets_s = _fill_between(usable_s, header, jitter_s) if usable.any() else usable_s
    runs = _runs(onsets_s, record_s, jitter_s)
    too_long = bool(runs) and runs[-1].onset_s + (runs[-1].stop - runs[-1].first) * record_s > MAX_DURATION_S
    if not believed or too_long:
        if header.gaps:
            why = f"last longer than {MAX_DURATION_S / 86_400:g} days" if believed else "are missing or do not rise"
            raise RecordingError("bad_clock", f"is EDF+D, with gaps in time, and its time stamps {why}")
        return _contiguous(n, None, "bad_stamps")
    n_excluded = n - sum(run.stop - run.first for run in runs)
    bad_stamps = () if usable.all() else ("bad_stamps",)
    start_s = float(onsets_s[runs[0].first])
    if not header.gaps and len(runs) == 1 and not n_excluded:
        return _contiguous(n, start_s, *bad_stamps)
    # A recording begins in the second that its header names, unless it was cut out of a longer one.
    is_known = abs(start_s) < (MAX_DURATION_S if header.gaps else 1)
    remarks = (
        *(() if header.gaps else ("undeclared_gaps",)),
        *bad_stamps,
        *(("excluded_records",) if n_excluded else ()),
        *(("clock_set_back",) if set_back else ()),
    )
    return Clock(runs, start_s if is_known else None, contiguous=False, n_excluded=n_excluded, remarks=remarks)


def _rising_stamps(stamps_s: Floats, record_s: float, jitter_s: float) -> tuple[Floats, bool]:
    """Keep as many rising stamps as possible, NaN for the others; return them and whether the clock was set back."""
    onsets_s = np.where(_is_odd(stamps_s, record_s, jitter_s), np.nan, stamps_s)
    kept = _longest_chain(onsets_s, record_s - jitter_s)
    valid = np.isfinite(onsets_s)
    if (valid & ~kept).sum() * record_s > SET_BACK_S:
        index = np.flatnonzero(valid)
        late_s = np.diff(onsets_s[index]) - np.diff(index) * record_s
        near = np.concatenate(([False], np.abs(late_s) <= jitter_s, [False]))
        # If records adjoin before and after the step, the clock was set back; otherwise the stamp is wrong.
        back_s = np.where((late_s < -SET_BACK_S) & near[:-2] & near[2:], late_s, 0.0)
        unbroken_s = onsets_s.copy()
        unbroken_s[index[1:]] -= np.cumsum(back_s)
        chain = _longest_chain(unbroken_s, record_s - jitter_s)
        if chain.sum() > kept.sum():
            return np.where(chain, unbroken_s, np.nan), True
    return np.where(kept, onsets_s, np.nan), False


def _is_odd(stamps_s: Floats, record_s: float, jitter_s: float) -> Bools:
    """Whether each stamp contradicts two neighbours that agree with each other, or is far from all others."""
    if not np.isfinite(stamps_s).any():
        return np.zeros(len(stamps_s), dtype=np.bool_)
    odd: Bools = np.abs(stamps_s - np.nanmedian(stamps_s)) > MAX_DURATION_S
    late_s = np.diff(stamps_s) - record_s
    neighbours_agree = np.abs(late_s[1:] + late_s[:-1]) <= jitter_s
    odd[1:-1] |= neighbours_agree & (np.abs(late_s[1:]) > jitter_s)
    # The first record begins in the second that the header names.
    if len(stamps_s) > 1 and -jitter_s <= stamps_s[1] - record_s < 1 and not -jitter_s <= stamps_s[0] < 1:
        odd[0] = True
    return odd


def _longest_chain(onsets_s: Floats, apart_s: float) -> Bools:
    """Choose as many onsets as possible that are each at least ``apart_s`` after the last chosen one; never a NaN."""
    valid = np.flatnonzero(np.isfinite(onsets_s))
    kept = np.zeros(len(onsets_s), dtype=np.bool_)
    if (np.diff(onsets_s[valid]) >= apart_s).all():
        kept[valid] = True
        return kept
    # Patience sorting: for each length, the smallest last onset of a chain, its record, and the record before that.
    lasts_s: list[float] = []
    records: list[int] = []
    before = np.full(len(onsets_s), -1)
    for record in valid.tolist():
        onset_s = float(onsets_s[record])
        length = bisect_right(lasts_s, onset_s - apart_s)
        if length:
            before[record] = records[length - 1]
        if length == len(lasts_s):
            lasts_s.append(onset_s)
            records.append(record)
        elif onset_s < lasts_s[length]:
            lasts_s[length], records[length] = onset_s, record
    record = records[-1] if records else -1
    while record >= 0:
        kept[record] = True
        record = int(before[record])
    return kept


def _place_most(usable: Bools) -> bool:
    """Whether stamps place half of the records, or two neighbours; a single stamp is not enough."""
    return bool(usable.any() and (2 * usable.sum() >= len(usable) or (usable[1:] & usable[:-1]).any()))


def _contradict(stamps_s: Floats, record_s: float, jitter_s: float) -> bool:
    """Whether stamps outweigh the claim of a file to be contiguous.

    They do if they place at least half of the records, and half of these adjoin or half of the time is recorded. Stamps
    in milliseconds do not.
    """
    index = np.flatnonzero(np.isfinite(stamps_s))
    if len(index) < 2 or 2 * len(index) < len(stamps_s):
        return False
    steps_s = np.diff(stamps_s[index])
    adjoining = np.abs(steps_s - np.diff(index) * record_s) <= jitter_s
    return bool(2 * adjoining.sum() >= len(steps_s) or 2 * len(index) * record_s >= steps_s.sum())


def _fill_between(stamps_s: Floats, header: Header, jitter_s: float) -> Floats:
    """Place records without a usable stamp if the stamps around them leave room for exactly these records."""
    onsets_s, record_s, records = stamps_s.copy(), header.record_s, np.arange(len(stamps_s))
    stamped = np.flatnonzero(np.isfinite(stamps_s))
    first, last = stamped[0], stamped[-1]
    exact = np.abs(np.diff(stamps_s[stamped]) - np.diff(stamped) * record_s) <= jitter_s
    before = np.maximum(np.searchsorted(stamped, records, side="right") - 1, 0)
    by_stamp_s = stamps_s[stamped[before]] + (records - stamped[before]) * record_s
    fits = np.concatenate((exact, [False]))[before]
    # The first record begins in the second that the header names. A contiguous file has no gap at its ends.
    fits[:first] = not header.gaps or -jitter_s <= by_stamp_s[0] < 1
    fits[last + 1 :] = not header.gaps
    fill = np.isnan(onsets_s) & fits
    onsets_s[fill] = by_stamp_s[fill]
    return onsets_s


def _runs(onsets_s: Floats, record_s: float, jitter_s: float) -> tuple[Run, ...]:
    """Join records that begin, up to jitter, where the one before ended; the first run begins at 0 s.

    A record without an onset belongs to no run. Nor does a record that begins before the one before ended, which
    happens if the clock is slower than the sampling rate.
    """
    runs: list[Run] = []
    origin_s, end_s, before_s = math.nan, 0.0, math.nan
    for record, onset_s in enumerate(onsets_s.tolist()):
        if math.isnan(onset_s):
            continue
        if math.isnan(origin_s):
            origin_s = onset_s
        late_s = onset_s - origin_s - end_s
        if late_s < -DRIFT_S:
            continue
        last = runs[-1] if runs else None
        if last and last.stop == record and abs(onset_s - before_s - record_s) <= jitter_s and late_s <= DRIFT_S:
            runs[-1] = Run(last.first, record + 1, last.onset_s)
        else:
            runs.append(Run(record, record + 1, max(onset_s - origin_s, end_s)))
        end_s = runs[-1].onset_s + (record + 1 - runs[-1].first) * record_s
        before_s = onset_s
    return tuple(runs)
