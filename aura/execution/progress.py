"""The progress of a stage: a bar in a terminal, and else a line now and then."""

import os
import sys
from collections.abc import Iterable
from typing import Any, TextIO

from tqdm import tqdm

# In a file or a log, a stage that is done sooner writes no line, and any other one a line in this time.
LINE_EVERY_S = 30.0
LINE = "{desc}: {n_fmt} of {total_fmt} {unit}s, {rate_fmt}, {remaining} left"


class _Lines:
    """A file that gets a line where a bar would go back to the beginning of the line."""

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def write(self, text: str) -> None:
        line = text.strip("\r\n ")
        if line:
            self.file.write(f"{line}\n")

    def flush(self) -> None:
        self.file.flush()


def show_progress(
    items: Iterable[Any] | None = None, *, title: str, unit: str, total: int | None = None
) -> "tqdm[Any]":
    """Show how many items are done, how fast, and how much time is left, on standard error.

    Parameters
    ----------
    items
        Items to go through; None if `tqdm.update` is called for each.
    title
        First word of the bar or line.
    unit
        What is counted, in the singular.
    total
        Number of items, if they have no length.
    """
    if sys.stderr.isatty():
        colour = None if os.environ.get("NO_COLOR") else "green"
        return tqdm(items, total=total, desc=title, unit=unit, dynamic_ncols=True, colour=colour)
    return tqdm(
        items,
        total=total,
        desc=title,
        unit=unit,
        file=_Lines(sys.stderr),
        mininterval=LINE_EVERY_S,
        maxinterval=LINE_EVERY_S,
        delay=LINE_EVERY_S,
        bar_format=LINE,
        leave=False,
    )
