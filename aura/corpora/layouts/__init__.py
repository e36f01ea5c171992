"""The layouts of corpora: each module of this package declares one as ``LAYOUT``.

An installed package adds a layout of its own by an entry point of the group ``aura.layouts`` that names a `Layout`.
"""

import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from types import MappingProxyType

from aura.core.errors import AuraError, InvalidInput
from aura.corpora.layout import Layout

ENTRY_POINTS = "aura.layouts"
# Configurations made by earlier versions name a layout by the import path of its module.
FORMER_PACKAGES = ("aura.datasets.", "aura.corpora.layouts.")


@cache
def all_layouts() -> Mapping[str, Layout]:
    """Return the layouts by name, in alphabetical order.

    Raises
    ------
    AuraError
        If two layouts have the same name, or if an entry point is not a layout.
    """
    layouts: dict[str, Layout] = {}
    for layout in sorted(_declared_layouts(), key=lambda layout: layout.name):
        if layout.name in layouts:
            raise AuraError(f"two layouts are called {layout.name!r}; rename the one of the installed package")
        layouts[layout.name] = layout
    return MappingProxyType(layouts)


def layout_name(name: str) -> str:
    """Return the short name of a layout, also for the import path that earlier versions used.

    Raises
    ------
    InvalidInput
        If there is no such layout.

    Examples
    --------
    >>> layout_name("tusz15"), layout_name("aura.datasets.tusz15")
    ('tusz15', 'tusz15')
    """
    short = name
    for package in FORMER_PACKAGES:
        short = short.removeprefix(package)
    if short not in all_layouts():
        raise InvalidInput(f"layouts: no layout is called {name!r}; allowed are {', '.join(all_layouts())}")
    return short


def get_layout(name: str) -> Layout:
    """Return a layout by its short name or its former import path."""
    return all_layouts()[layout_name(name)]


def writable_layouts() -> dict[str, Layout]:
    """Return the layouts that the synthetic corpus can be written in, by their names in ``dataset.synthesis.layout``.

    A variant is a copy of its layout with another ``place``.
    """
    writable = {name: layout for name, layout in all_layouts().items() if layout.place is not None}
    for layout in all_layouts().values():
        writable |= {name: replace(layout, place=place) for name, place in layout.variants.items()}
    return {name: writable[name] for name in sorted(writable)}


def _declared_layouts() -> Iterator[Layout]:
    """Import the modules of this package and the entry points of others."""
    for module in pkgutil.iter_modules(__path__):
        layout: Layout = import_module(f"{__name__}.{module.name}").LAYOUT
        yield layout
    for entry_point in entry_points(group=ENTRY_POINTS):
        try:
            declared = entry_point.load()
        except (ImportError, AttributeError) as error:
            raise AuraError(
                f"the entry point {entry_point.name!r} of {ENTRY_POINTS} cannot be imported: {error}"
            ) from error
        if not isinstance(declared, Layout):
            raise AuraError(f"the entry point {entry_point.name!r} of {ENTRY_POINTS} is no aura.corpora.layout.Layout")
        yield declared
