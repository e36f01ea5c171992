"""Recordings that a notebook already holds: an MNE Raw, a WFDB record, a table of RR intervals."""

from collections.abc import Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from aura.core.errors import InvalidInput, RecordingError
from aura.core.recordings import Ecg
from aura.core.series import RRSeries
from aura.formats import edf
from aura.formats.units import MILLIVOLTS, read_unit

COLUMNS = ("t_s", "rr_ms")


def read_ecg(source: Any, channels: Sequence[str] = edf.ANY_ECG, *, unit: str | None = None) -> Ecg:
    """Read the ECG of a recording.

    Parameters
    ----------
    source
        Path of an EDF file, an ``mne.io.Raw``, or a ``wfdb.Record``.
    channels
        Patterns of channel labels in order of preference, such as ``["ECG II", "*ECG*"]``; upper and lower case are
        the same.
    unit
        Unit of the samples of an EDF file that overrides the file: ``uV``, ``mV``, ``V`` or ``nV``. None takes the
        unit in the file. The other sources always have a unit.

    Returns
    -------
    Ecg
        The first channel that matches.

    Raises
    ------
    InvalidInput
        If the source is of another type, or if no channel matches; the message lists the channels.
    RecordingError
        If an EDF file cannot be read.
    """
    edf.check_patterns(channels)
    if isinstance(source, str | PathLike):
        try:
            return edf.read_ecg(Path(source), channels, unit)
        except RecordingError as error:
            # Readers do not name the file, which can name a person; here the caller named it.
            raise RecordingError(error.reason, f"{Path(source).name}: {error.message}") from error
    if hasattr(source, "ch_names") and hasattr(source, "get_data"):
        return _from_mne(source, channels)
    if hasattr(source, "sig_name") and hasattr(source, "p_signal"):
        return _from_wfdb(source, channels)
    raise InvalidInput(
        f"source is of the type {type(source).__name__}; allowed are the path of an EDF file, an mne.io.Raw and a "
        "wfdb.Record; for samples in an array use Ecg.from_array(x_mv, fs_hz)"
    )


def read_rr(table: Any, duration_s: float | None = None) -> RRSeries:
    """Read RR intervals from a table.

    Parameters
    ----------
    table
        A pandas DataFrame, or anything that pandas takes as columns: ``rr_ms``, the length of each interval in ms, and
        optionally ``t_s``, the time of its second beat in seconds. Without ``t_s`` the intervals follow each other
        from time 0.
    duration_s
        Length of the recording in seconds; the time of the last beat if it is not given.

    Raises
    ------
    InvalidInput
        If the columns are missing or hold no RR intervals.

    Examples
    --------
    >>> read_rr({"rr_ms": [800, 810, 790]}).t_s
    array([0.8 , 1.61, 2.4 ])
    """
    try:
        frame = pd.DataFrame(table)
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"table is of the type {type(table).__name__}; allowed is a table with the column rr_ms"
        ) from error
    if "rr_ms" not in frame.columns:
        raise InvalidInput(
            f"table has the columns {', '.join(map(str, frame.columns)) or 'none'}; needed is rr_ms, allowed beside it "
            "is t_s"
        )
    try:
        values = {name: frame[name].to_numpy(dtype=np.float64) for name in COLUMNS if name in frame.columns}
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"table holds values that are not numbers: {error}") from error
    rr_ms = values["rr_ms"]
    t_s = values.get("t_s", np.cumsum(rr_ms) / 1000)
    # RRSeries reports times that are not allowed.
    last_s = float(t_s.max(initial=0.0)) if np.isfinite(t_s).all() else 0.0
    return RRSeries(t_s, rr_ms, last_s if duration_s is None else duration_s)


def _choose_channel(labels: Sequence[str], patterns: Sequence[str]) -> int:
    """Return the number of the first label that matches the most preferred pattern."""
    for pattern in patterns:
        for number, label in enumerate(labels):
            if fnmatchcase(label.upper(), pattern.upper()):
                return number
    raise InvalidInput(f"channels={list(patterns)} match none of the channels, which are {', '.join(labels)}")


def _from_mne(raw: Any, patterns: Sequence[str]) -> Ecg:
    number = _choose_channel(raw.ch_names, patterns)
    start = raw.info["meas_date"]
    # MNE holds volts.
    samples_mv = raw.get_data(picks=[number])[0] * 1000
    return Ecg.from_array(
        samples_mv, float(raw.info["sfreq"]), channel=raw.ch_names[number], start=_without_zone(start)
    )


def _from_wfdb(record: Any, patterns: Sequence[str]) -> Ecg:
    if record.p_signal is None:
        raise InvalidInput("source has no physical signal; read it with wfdb.rdrecord(..., physical=True)")
    number = _choose_channel(record.sig_name, patterns)
    written = record.units[number]
    unit = read_unit(written)
    if unit is None or unit not in MILLIVOLTS:
        raise InvalidInput(
            f"channel {record.sig_name[number]!r} is in {written!r}; allowed are {', '.join(MILLIVOLTS)}"
        )
    samples_mv = record.p_signal[:, number] * MILLIVOLTS[unit]
    start = getattr(record, "base_datetime", None)
    return Ecg.from_array(samples_mv, float(record.fs), channel=record.sig_name[number], start=_without_zone(start))


def _without_zone(start: datetime | None) -> datetime | None:
    """Return a time as the clock of the recording showed it."""
    return start.replace(tzinfo=None) if start is not None else None
