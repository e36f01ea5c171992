"""A share of the recordings: what one of several processes, containers or jobs does of a stage."""

import re
from collections.abc import Sequence
from typing import TypeVar

from aura.core.errors import AuraError

Item = TypeVar("Item")


def share(items: Sequence[Item], partition: str | None) -> Sequence[Item]:
    """Choose a share of some items.

    Parameters
    ----------
    items
        In an order that is the same for all who share them.
    partition
        ``INDEX/COUNT``, counted from 0, such as ``0/4``; None is all.

    Returns
    -------
    Sequence
        Each item is in one of the shares 0 to COUNT - 1. Neighbours, which are often of one person and alike, go to
        different shares.

    Raises
    ------
    AuraError
        For what is no share.

    Examples
    --------
    >>> share("abcde", "0/2"), share("abcde", "1/2")
    ('ace', 'bd')
    """
    if partition is None:
        return items
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", partition)
    if found is None or not int(found[1]) < int(found[2]):
        raise AuraError(
            f"partition={partition} is no share; allowed is INDEX/COUNT from 0/COUNT on, such as 0/4 to 3/4"
        )
    return items[int(found[1]) :: int(found[2])]
