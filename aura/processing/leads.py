"""The ECG channel of a recording in which the heart is seen best."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aura.core.arrays import Floats, Ints
from aura.core.errors import AuraError, RecordingError
from aura.core.events import Event
from aura.core.recordings import Ecg
from aura.ecg import quality
from aura.ecg.beat_shape import judge_beats
from aura.ecg.beats import detect_beats, span_gaps
from aura.ecg.intervals import is_normal, rr_from_beats
from aura.formats.edf import read_ecgs
from aura.formats.units import quote_unit

BeatDetector = Callable[[Floats, float], Ints]
# A less preferred channel is taken only if its normal intervals cover this much more of the recording.
MIN_GAIN = 0.02
# Lowest share of beats that look alike. On 13 MIT-BIH records it is 71 % or more; in heart rates, markers and slow
# waves taken for an ECG it is 33 % at most.
MIN_ALIKE = 0.5
# Share of usable signal that is zero to within the rounding of a sum.
NOTHING = 1e-9


@dataclass(frozen=True)
class EcgChannel:
    """Which channel is the ECG, and in which unit.

    Parameters
    ----------
    patterns
        Patterns of channel labels in order of preference.
    unit
        See `aura.formats.edf.read_ecgs`.
    """

    patterns: tuple[str, ...]
    unit: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Lead:
    """An ECG channel and its beats.

    Parameters
    ----------
    ecg
        The channel.
    faults
        Stretches that are unusable.
    beats_s
        (n_beats,) times of the beats in seconds, rising.
    coverage
        Share of the recording that normal intervals cover.
    normal_share
        Share of the intervals that are normal; 0 without an interval.
    alike_share
        See `aura.ecg.beat_shape.judge_beats`.
    """

    ecg: Ecg
    faults: tuple[Event, ...]
    beats_s: Floats
    coverage: float
    normal_share: float
    alike_share: float


def find_best_lead(
    edf: Path, channel: EcgChannel, detector: BeatDetector, *, flat_mv: float, max_mv: float
) -> tuple[Lead, tuple[str, ...]]:
    """Find the channel of which normal intervals cover most; of nearly equal channels the preferred one is taken.

    Parameters
    ----------
    edf
        File of the recording.
    channel
        Which channels are tried.
    detector
        Beat detector.
    flat_mv, max_mv
        See `aura.ecg.quality.unusable`.

    Returns
    -------
    lead : Lead
        The channel and its beats.
    remarks : tuple of str
        Codes of what was wrong with the file, and ``several_channels`` if more than one was tried.

    Raises
    ------
    RecordingError
        If no channel can be used: the error of the first one.
    """
    best, failure, n_leads = None, None, 0
    for ecg in read_ecgs(edf, channel.patterns, channel.unit, section="dataset."):
        n_leads += 1
        try:
            lead = find_beats(ecg, detector, flat_mv=flat_mv, max_mv=max_mv)
        except RecordingError as error:
            failure = failure or error
            continue
        if best is None or lead.coverage > best.coverage + MIN_GAIN:
            best = lead
    if best is None:
        assert failure is not None
        raise failure
    return best, (*best.ecg.remarks, *(("several_channels",) if n_leads > 1 else ()))


def find_beats(ecg: Ecg, detector: BeatDetector, *, flat_mv: float, max_mv: float) -> Lead:
    """Find the beats of a channel, and the stretches in which they cannot be trusted.

    Raises
    ------
    RecordingError
        If nothing of the channel is usable, or the peaks are no heartbeats.
    """
    faults = quality.find_unusable(ecg, flat_mv=flat_mv, max_mv=max_mv)
    _check_usable(ecg, faults)
    beats_s, undetectable = detect_beats(ecg, detector)
    noise, alike_share = judge_beats(ecg, beats_s)
    faults = (*span_gaps(faults, beats_s), *undetectable, *noise)
    faults += quality.find_silences(beats_s, faults, duration_s=ecg.duration_s)
    _check_usable(ecg, faults)
    try:
        rr = rr_from_beats(beats_s, ecg.duration_s, faults)
    except AuraError as error:
        raise RecordingError("no_beats", f"the peaks in channel {ecg.channel!r} are no heartbeats: {error}") from error
    if alike_share < MIN_ALIKE:
        message = (
            f"the peaks in channel {ecg.channel!r} are no heartbeats: {100 * alike_share:.0f} % of them look alike; "
            f"of a heart, at least {100 * MIN_ALIKE:.0f} % do"
        )
        raise RecordingError("no_beats", message)
    normal = is_normal(rr)
    coverage = float(rr.rr_ms[normal].sum()) / 1000.0 / ecg.duration_s
    normal_share = float(normal.mean()) if len(normal) else 0.0
    return Lead(ecg, faults, beats_s, coverage, normal_share, alike_share)


def describe_faults(faults: Sequence[Event]) -> str:
    """Describe how long which fault lasts, the longest first, after a colon; an empty text without any."""
    seconds: dict[str, float] = {}
    for fault in faults:
        seconds[fault.kind] = seconds.get(fault.kind, 0.0) + fault.duration_s
    longest_first = sorted(seconds.items(), key=lambda item: -item[1])
    text = ", ".join(f"{kind.replace('_', ' ')} for {s:.0f} s" for kind, s in longest_first)
    return f": {text}" if text else ""


def _check_usable(ecg: Ecg, faults: Sequence[Event]) -> None:
    """Raise unless a part of the channel is usable."""
    if quality.usable_share(faults, ecg.duration_s) < NOTHING:
        message = f"nothing of channel {ecg.channel!r} can be used{describe_faults(faults)}{_describe_scale(ecg)}"
        raise RecordingError("unusable_ecg", message)


def _describe_scale(ecg: Ecg) -> str:
    """Describe the range of the samples in millivolts, and where the unit comes from."""
    low_mv, high_mv = sorted(
        ecg.zero_mv + float(end) * ecg.mv_per_step for end in (ecg.digital.min(), ecg.digital.max())
    )
    if low_mv == high_mv:
        return ""
    written = f"the file says {quote_unit(ecg.written_unit)}" if ecg.written_unit else "the file has no unit"
    return (
        f"; read as {ecg.unit} ({written}) it is {low_mv:.4g} to {high_mv:.4g} mV: is the unit right? "
        "dataset.unit sets another"
    )
