"""Feature families, one module each. A new module is found by itself if it declares a ``FAMILY``."""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from aura.features.family import Family


def discover_families() -> Mapping[str, Family]:
    """Return the families that the modules of this package declare, by name, in the order of their positions."""
    declared: list[Family] = [import_module(f"{__name__}.{module.name}").FAMILY for module in iter_modules(__path__)]
    declared.sort(key=lambda family: (family.position, family.name))
    families = {family.name: family for family in declared}
    assert len(families) == len(declared), "two feature families have the same name"
    return MappingProxyType(families)


FAMILIES = discover_families()
