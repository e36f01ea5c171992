"""The declaration of a feature family."""

from collections.abc import Callable
from dataclasses import dataclass

from aura.core.arrays import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A feature family: its columns, the windows it needs, how it is computed, and where it comes from.

    Each module of `aura.features.families` declares one as ``FAMILY``; the specification, the configuration's defaults,
    the reference engine and the table in docs/features.md derive from it.

    Parameters
    ----------
    name
        Name of the family in specifications and in the configuration.
    compute
        Function of `aura.features.windows.NNWindows`, and of `parameters` by keyword. It returns the (n_windows,)
        features by column name, NaN where a window does not define them.
    columns
        Column names in their order, or a function of `parameters` that returns them.
    min_intervals
        Fewest intervals that define a feature of the family.
    lengths_s
        Default window lengths in seconds.
    min_length_s
        Shortest window in seconds that the family accepts.
    parameters
        Fields of `aura.features.spec.FeatureSpec` that `compute` takes.
    hrv_analysis
        Functions of hrv-analysis that return the same columns; empty if that library has none.
    equal_to
        What the tests compare the family with, to nine digits.
    sources
        DOIs of the definitions.
    notes
        Sentences for the docs: deviations from the reference, and conditions of single columns.
    position
        Position among all families, which is the order of columns of ``features=all``; ties are sorted by name.
    """

    name: str
    compute: Callable[..., dict[str, Floats]]
    columns: tuple[str, ...] | Callable[..., tuple[str, ...]]
    min_intervals: int
    lengths_s: tuple[float, ...]
    min_length_s: float = 0.0
    parameters: tuple[str, ...] = ()
    hrv_analysis: tuple[str, ...] = ()
    equal_to: str
    sources: tuple[str, ...]
    notes: tuple[str, ...] = ()
    position: int = 1000

    def list_columns(self, parameters: dict[str, tuple[float, ...]]) -> tuple[str, ...]:
        """List the column names for some parameters."""
        return self.columns(**parameters) if callable(self.columns) else self.columns
