"""Units of EDF channels, in the spellings that amplifiers and converters write."""

import re

# Millivolts per unit; dataset.unit allows these units.
MILLIVOLTS = {"nV": 1e-6, "uV": 1e-3, "mV": 1.0, "V": 1e3}
PREFIXES = {
    "": "V",
    **dict.fromkeys(("m", "milli", "mili", "1e-3", "10^-3", "10-3"), "mV"),
    **dict.fromkeys(("u", "mu", "my", "mc", "mk", "mic", "micro", "mikro"), "uV"),
    **dict.fromkeys(("&micro;", "\\mu", "1e-6", "10^-6", "10-6"), "uV"),
    **dict.fromkeys(("n", "nano", "1e-9", "10^-9", "10-9"), "nV"),
}
# The field has eight characters: "millivol" and "microvol" are cut, "microvlt" is short for it.
VOLT = re.compile(r"(?P<prefix>.*?)v(?:o(?:l(?:t(?:s)?)?)?|lts?)?")
# A micro sign in any character set, or its damaged form: all other prefixes are ASCII letters.
LOST_MICRO = re.compile(r"[^\x00-\x7f]{1,4}|[.?_*#~]")
PLAIN_LETTERS = str.maketrans({"м": "m", "к": "k", "н": "n", "в": "v", "㎵": "nv", "㎶": "uv", "㎷": "mv"})
BRACKETS = "[](){}<>\"'` \t"
NOT_VOLTAGES = frozenset(
    (
        *("bpm", "b/m", "beats/min", "beats/mi", "1/min", "/min", "min-1", "rpm", "brpm", "br/min", "l/min", "ml/min"),
        *("%", "percent", "pct", "%spo2", "degc", "c", "°c", "ºc", "celsius", "degf", "f", "°f", "k", "deg"),
        *("mmhg", "cmh2o", "kpa", "pa", "hpa", "mbar", "bar", "hz", "khz", "s", "sec", "ms", "msec", "us", "min", "h"),
        *("g", "mg", "m/s2", "m/s^2", "m/s", "deg/s", "rad", "rad/s", "°", "a", "ma", "ua", "na", "ohm", "kohm"),
        *("ohms", "kohms", "mohm", "w", "mw", "db", "dba", "lux", "lx", "m", "cm", "mm", "l", "ml", "boolean", "bool"),
    )
)

# Longer words that messages may quote; any other could be a name.
WORDS = frozenset(
    ("counts", "count", "bits", "digit", "digits", "unit", "units", "none", "null", "unknown", "undefine", "volt")
)


def read_unit(text: str) -> str | None:
    """Return the unit of an ECG channel as a key of `MILLIVOLTS`; None if it is ambiguous or unknown.

    Parameters
    ----------
    text
        Field of the header. An empty field means microvolts, as EEG amplifiers write.

    Examples
    --------
    >>> [read_unit(text) for text in ("µV", "[mV]", ".V", "Volts", "microvol", "", "a.u.")]
    ['uV', 'mV', 'uV', 'V', 'uV', 'uV', None]
    """
    plain = _plain(text)
    if not plain:
        return "uV"
    match = VOLT.fullmatch(plain.rstrip(".,;:"))
    if match is None:
        return None
    prefix = match["prefix"]
    return "uV" if LOST_MICRO.fullmatch(prefix) else PREFIXES.get(prefix)


def is_voltage(text: str) -> bool:
    """Whether a channel in this unit may be an ECG; one in beats per minute, percent or degrees is not."""
    return _plain(text) not in NOT_VOLTAGES


def quote_unit(text: str) -> str:
    """Return a unit for a message, without words that could be the name of a person."""
    words = re.findall(r"[^\W\d_]+", text.lower())
    is_unit = _plain(text) in NOT_VOLTAGES or read_unit(text) is not None
    may_repeat = is_unit or all(len(word) <= 3 or word in WORDS for word in words)
    return repr(text) if may_repeat else f"a word of {len(text)} letters"


def _plain(text: str) -> str:
    """Return a unit in lower case, without brackets and spaces."""
    return "".join(text.strip(BRACKETS).lower().translate(PLAIN_LETTERS).split())
