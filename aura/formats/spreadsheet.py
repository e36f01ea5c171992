"""CSV files for spreadsheets, in which no text becomes a formula.

https://owasp.org/www-community/attacks/CSV_Injection
"""

import csv
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

# A cell that begins with one of these signs is a formula; the wide signs count in Japanese versions. A cell begins at
# the start of a text, and after each sign that a spreadsheet may take for a separator: the semicolon where the comma is
# the decimal sign.
FORMULA = re.compile("(^|[,;|\t\r\n])(?=[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20])")


def as_text(text: str) -> str:
    """Return text that a spreadsheet shows literally, with an apostrophe before each formula.

    Examples
    --------
    >>> as_text("=1+1"), as_text("P7;-2+3"), as_text("A. Nnotator-1")
    ("'=1+1", "P7;'-2+3", 'A. Nnotator-1')
    """
    return FORMULA.sub(r"\1'", text)


def to_csv(frame: "pd.DataFrame") -> str:
    """Return a table as CSV. All text is quoted, as pandas would not quote a lone carriage return."""
    safe = frame.map(lambda value: as_text(value) if isinstance(value, str) else value)
    return str(safe.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC))
