"""Names from data, such as subjects, as text in a figure."""

LONGEST = 48


def as_label(name: str) -> str:
    r"""Return a name as a label that matplotlib draws literally, on one line.

    Matplotlib would read a pair of ``$`` as a formula, which can fail. Control characters, which fonts lack, become
    U+FFFD. The middle of a long name is left out.

    Examples
    --------
    >>> print(as_label("p$1_$_0"))
    p\$1_\$_0
    >>> as_label("two\nlines")
    'two lines'
    """
    line = " ".join(name.split())
    if len(line) > LONGEST:
        half = (LONGEST - 1) // 2
        line = f"{line[:half]}…{line[-half:]}"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line).replace("$", r"\$")
