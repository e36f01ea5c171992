"""CSV files that people open in spreadsheets, in which no text of others becomes a formula.

https://owasp.org/www-community/attacks/CSV_Injection
"""

import csv
import re

import pandas as pd

# A cell that begins so is a formula; the wide signs are so in Japanese versions. A cell begins where a text does, and
# after each sign that some spreadsheet takes for a separator: the semicolon where the comma is the decimal sign.
FORMULA = re.compile("(^|[,;|\t\r\n])(?=[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20])")


def as_text(text: str) -> str:
    """Text that a spreadsheet shows as it is, by the apostrophe that stands for text in front of a cell.

    Examples
    --------
    >>> as_text("=1+1"), as_text("P7;-2+3"), as_text("A. Nnotator-1")
    ("'=1+1", "P7;'-2+3", 'A. Nnotator-1')
    """
    return FORMULA.sub(r"\1'", text)


def to_csv(frame: pd.DataFrame) -> str:
    """Write a table as CSV; text is in quotes, which pandas leaves out around a lone carriage return."""
    safe = frame.map(lambda value: as_text(value) if isinstance(value, str) else value)
    return str(safe.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC))
