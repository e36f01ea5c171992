"""Shares of the recordings, for several processes, containers or jobs that run one stage together."""

import re
from collections.abc import Sequence
from typing import TypeVar

from aura.core.errors import AuraError

Item = TypeVar("Item")


def select_share(items: Sequence[Item], partition: str | None) -> Sequence[Item]:
    """Select a share of some items.

    Parameters
    ----------
    items
        Items, in the same order in all processes.
    partition
        ``INDEX/COUNT``, counted from 0, such as ``0/4``; None selects all items.

    Returns
    -------
    Sequence
        Each item is in exactly one of the shares 0 to COUNT - 1. Neighbours go to different shares, since they often
        are of one subject and cost the same.

    Raises
    ------
    AuraError
        If ``partition`` is malformed.

    Examples
    --------
    >>> select_share("abcde", "0/2"), select_share("abcde", "1/2")
    ('ace', 'bd')
    """
    if partition is None:
        return items
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", partition)
    if match is None or not int(match[1]) < int(match[2]):
        raise AuraError(
            f"partition={partition} is not a share; allowed is INDEX/COUNT from 0/COUNT on, such as 0/4 to 3/4"
        )
    return items[int(match[1]) :: int(match[2])]
