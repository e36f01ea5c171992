"""A search space over keys of a configuration, and the overrides that a trial draws from it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.trial import BaseTrial, FixedTrial

from aura.core.errors import InvalidInput
from aura.search.dimension import Dimension, Keys, read_dimension


@dataclass(frozen=True)
class Space:
    """The dimensions of a search; conditions are on dimensions before."""

    dimensions: tuple[Dimension, ...]

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any] | None, keys: Keys) -> "Space":
        """Build the space from ``{key: {type: int, low: 1, high: 9}, ...}``.

        The words are Optuna's: ``type`` (float, int, categorical), ``low``, ``high``, ``step``, ``log``, ``choices``.
        Without ``type``, whole numbers make an int, and choices a categorical. A key with ``when: {model: NAME}``
        exists only in trials that drew this choice of an earlier key.

        Raises
        ------
        InvalidInput
            If the space is empty, a key must not be searched, or its values are not allowed.
        """
        if not values:
            raise InvalidInput(
                "space is empty: nothing to search; choose an experiment that has one, such as "
                "experiments=window_length, or write sweep.space={...}"
            )
        dimensions: dict[str, Dimension] = {}
        for key, words in values.items():
            dimensions[key] = read_dimension(key, words, keys, dimensions)
        space = cls(tuple(dimensions.values()))
        # Raises if a condition can never be met.
        list(space.examples())
        return space

    def suggest(self, trial: BaseTrial) -> list[str]:
        """Let a trial choose a value for each key that it has, and return the overrides."""
        params: dict[str, Any] = {}
        for dimension in self.dimensions:
            if dimension.exists(params):
                params[dimension.key] = dimension.draw(trial)
        return [
            dimension.to_override(params[dimension.key]) for dimension in self.dimensions if dimension.key in params
        ]

    def find(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of a trial that has some values of the configuration, in the order of the space.

        Raises
        ------
        InvalidInput
            If a key is not in the space, does not exist beside the others, or has a value that is not allowed.
        """
        params: dict[str, Any] = {}
        for dimension in self.dimensions:
            if dimension.key in values:
                if not dimension.exists(params):
                    needed = " and ".join(f"{key}={' or '.join(some)}" for key, some in dimension.when.items())
                    raise InvalidInput(f"{dimension.key} exists only with {needed}")
                params[dimension.key] = dimension.find(values[dimension.key])
        for key in values:
            if key not in params:
                allowed = ", ".join(dimension.key for dimension in self.dimensions)
                raise InvalidInput(f"{key} is not searched; allowed are {allowed}")
        return params

    def find_all(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of the trial that has some values, which may name keys that the trial has not.

        Raises
        ------
        InvalidInput
            If a key of the trial has no value, or a value that is not allowed.
        """
        params: dict[str, Any] = {}
        for dimension in self.dimensions:
            if dimension.exists(params):
                if dimension.key not in values:
                    raise InvalidInput(f"{dimension.key} has no value")
                params[dimension.key] = dimension.find(values[dimension.key])
        return params

    def examples(self) -> Iterator[list[str]]:
        """Yield overrides of trials that together have every key.

        Raises
        ------
        InvalidInput
            If a key exists in no trial, since its conditions exclude each other.
        """
        seen: list[dict[str, Any]] = []
        for dimension in self.dimensions:
            wanted = self._conditions(dimension)
            params: dict[str, Any] = {}
            for other in self.dimensions:
                if other.exists(params):
                    params[other.key] = wanted.get(other.key, other.example)
            if dimension.key not in params:
                raise InvalidInput(f"space.{dimension.key}.when: its conditions exclude each other")
            if params not in seen:
                seen.append(params)
                yield self.suggest(FixedTrial(params))

    def grid(self) -> dict[str, list[Any]]:
        """Return all values of each key; raise InvalidInput if they are infinitely many."""
        return {dimension.key: dimension.list_values() for dimension in self.dimensions}

    def _conditions(self, dimension: Dimension) -> dict[str, str]:
        """Return a value of each dimension that another one needs, for itself and for those that it needs."""
        wanted: dict[str, str] = {}
        for other in self.dimensions:
            if other.key in dimension.when:
                wanted |= self._conditions(other) | {other.key: dimension.when[other.key][0]}
        return wanted
