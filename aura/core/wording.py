"""Counts in sentences."""


def counted(n: float, one: str, many: str | None = None) -> str:
    """Return a whole number with its noun, or with other words that depend on it.

    Parameters
    ----------
    n
        The number; sums of columns are typed as floats.
    one, many
        Words for one, and for any other number; by default the word for one with an s.

    Examples
    --------
    >>> counted(1, "recording"), counted(0, "recording")
    ('1 recording', '0 recordings')
    >>> counted(2, "file belongs", "files belong")
    '2 files belong'
    """
    return f"{n} {one if n == 1 else many or f'{one}s'}"
