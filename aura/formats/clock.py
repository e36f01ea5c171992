"""Convert times of day to seconds from the start of a recording, with and without time zones."""

from datetime import UTC, datetime

from aura.core.errors import RecordingError


def readings_s(time: datetime, start: datetime) -> tuple[float, ...]:
    """Return the possible seconds from the start of a recording to a time of day.

    Parameters
    ----------
    time
        Time of day with a zone, or on the same clock as the start.
    start
        Start of the recording; with a zone if it is known.

    Returns
    -------
    tuple of float
        One number; two in the hour that a clock repeats in autumn, none in the hour that it skips in spring.

    Raises
    ------
    RecordingError
        ``unknown_zone`` if only ``time`` has a zone; ``ambiguous_start`` if ``start`` lies in one of those hours.
    """
    if start.tzinfo is None:
        if time.tzinfo is not None:
            message = (
                "its annotations are times with a time zone; set dataset.timezone to the zone of the clock of the EDF, "
                "such as Europe/Paris"
            )
            raise RecordingError("unknown_zone", message)
        return ((time - start).total_seconds(),)
    starts = _instants(start)
    if len(starts) != 1:
        what = "repeats" if starts else "skips"
        message = f"it begins in the hour that dataset.timezone={start.tzinfo} {what} when clocks change"
        raise RecordingError("ambiguous_start", message)
    instants = _instants(time.replace(tzinfo=start.tzinfo) if time.tzinfo is None else time)
    return tuple((instant - starts[0]).total_seconds() for instant in instants)


def _instants(time: datetime) -> list[datetime]:
    """Return all instants, in UTC, at which a clock of the zone shows the time."""
    instants = (time.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    shown = time.replace(tzinfo=None, fold=0)
    return sorted({utc for utc in instants if utc.astimezone(time.tzinfo).replace(tzinfo=None, fold=0) == shown})
