"""What an entry point declares about itself, and how the entry points are found.

The command line, the configuration and telemetry read the declarations, and tests compare them with ``MLproject`` and
the README. An entry point is added by a module of `aura.stages`, a section of ``conf/config.yaml`` for its own keys,
and an entry in ``MLproject``.
"""

import pkgutil
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

PACKAGE = "aura.stages"


@dataclass(frozen=True)
class Stage:
    """An entry point: ``aura NAME key=value ...``.

    Parameters
    ----------
    name
        Word on the command line.
    help
        One line for the list of the entry points.
    module
        Dotted name of the module whose ``run(config)`` does the work. It is imported only to run the entry point, so
        that the list of entry points needs neither NumPy nor MLflow.
    order
        Place in the list of the entry points, from low to high.
    sections
        Section classes of the configuration that belong to this entry point, by key. Their values are private: they are
        not logged, not searched, and not in ``best.yaml``, unless a field declares another `aura.config.scope.Scope`.
    shorthand
        Keys with a text as value that can be written without their section: ``edf=...`` for ``detect.edf=...``.
    knobs
        Words for other keys and groups, see `aura.config.knobs`.
    keys
        Other keys and sections that ``--help`` shows.
    uses
        Sections and keys that decide the output. Its run logs those that differ from the default as parameters.
    logs
        Groups and keys that its run always logs, see `aura.config.knobs`.
    overrides
        Overrides that come before those of the user.
    is_partitionable
        Whether several processes can share the work by ``partition=INDEX/COUNT``.
    is_measured
        Whether the entry point pushes its metrics to a Prometheus push gateway.
    has_corpus
        Whether the entry point works on the corpus of ``dataset``, which then is a label of its metrics.
    check
        Raises `aura.core.errors.AuraError` for a checked configuration whose files do not exist. It is called before
        ``module`` is imported, which takes seconds, and before a run is opened.
    """

    name: str
    help: str
    module: str
    order: int = 1_000
    sections: Mapping[str, type] = field(default_factory=dict)
    shorthand: tuple[str, ...] = ()
    knobs: Mapping[str, str] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    is_partitionable: bool = False
    is_measured: bool = True
    has_corpus: bool = True
    check: Callable[[Any], None] | None = None

    @property
    def words(self) -> dict[str, str]:
        """Key of each shorthand word."""
        return {key.rpartition(".")[2]: key for key in self.shorthand}

    def to_overrides(self, words: Sequence[str]) -> list[str]:
        """Turn words of the command line into overrides of Hydra.

        The value of a shorthand word is quoted, so that it may hold any character. A short word without a value is left
        out: MLflow passes parameters that were not given in this form. So is ``experiments=null``, the default.
        """
        return [*self.overrides, *(override for word in words if (override := self._to_override(word)) is not None)]

    def _to_override(self, word: str) -> str | None:
        name, is_set, value = word.partition("=")
        if name == "experiments" and value in ("", "null"):
            # Hydra refuses to set a group to null.
            return None
        if is_set and not value and (name in self.words or name in self.knobs):
            return None
        if name in self.words:
            return f"{self.words[name]}={quote_for_hydra(value)}"
        if name in self.shorthand and value != "null" and not value.startswith(("'", '"', "$")):
            return f"{name}={quote_for_hydra(value)}"
        return f"{self.knobs[name]}={value}" if name in self.knobs else word

    def run(self, config: Any, **options: Any) -> None:
        """Run the entry point with a checked `aura.config.schema.Config`, for the command line and other stages.

        Options are those of the function ``run`` of the module.
        """
        from aura.execution.telemetry import watch

        dataset = config.dataset.name if self.has_corpus else None
        # What the check refuses is a failure of the stage for Prometheus too, such as a disk that is not mounted.
        with watch(self.name, dataset=dataset, partition=config.partition) if self.is_measured else nullcontext():
            if self.check is not None:
                self.check(config)
            import_module(self.module).run(config, **options)

    def run_jobs(self, configs: Sequence[Any]) -> None:
        """Run the entry point once, or the jobs of a multirun: by ``run_jobs(configs)`` of the module if it has one."""
        run_jobs = getattr(import_module(self.module), "run_jobs", None) if len(configs) > 1 else None
        if run_jobs is not None:
            run_jobs(configs)
            return
        for config in configs:
            self.run(config)


def quote_for_hydra(value: str) -> str:
    """Quote a text as a value of an override of Hydra, which may then hold any character."""
    # Backslashes escape only before a quote and at the end.
    return "'" + re.sub(r"(\\*)('|$)", lambda match: match[1] * 2 + ("\\'" if match[2] else ""), value) + "'"


def find_stages() -> dict[str, Stage]:
    """Return the entry points by name: the ``STAGE`` of each public module of `aura.stages`.

    The configuration finds them by the name of their package, since it ranks below them and they read it.
    """
    names = [module.name for module in pkgutil.iter_modules(import_module(PACKAGE).__path__)]
    modules = [import_module(f"{PACKAGE}.{name}") for name in names if not name.startswith("_")]
    stages: list[Stage] = [module.STAGE for module in modules]
    return {stage.name: stage for stage in sorted(stages, key=lambda stage: (stage.order, stage.name))}
