"""What came out of a study: a table, pictures, and the best configuration as an experiment of its own."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import optuna.visualization.matplotlib as plots
import pandas as pd
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from optuna.exceptions import ExperimentalWarning
from optuna.importance import FanovaImportanceEvaluator
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from aura.config.schema import Config
from aura.config.scope import Scope, scope_of
from aura.core.figure_text import as_label
from aura.core.paths import CONF
from aura.search.study import DIRECTIONS, ERROR, RUN


def best_trial(trials: Sequence[FrozenTrial], objectives: Sequence[str]) -> FrozenTrial:
    """Trial with the best objective; of several objectives, the one on the front with the best F1."""
    if len(objectives) == 1:
        sign = 1 if DIRECTIONS[objectives[0]] == StudyDirection.MAXIMIZE else -1
        return max(trials, key=lambda trial: (sign * trial.user_attrs[objectives[0]], -trial.number))
    return max(trials, key=lambda trial: (trial.user_attrs["f1"], -trial.number))


def table(trials: Sequence[FrozenTrial]) -> pd.DataFrame:
    """A row per trial: its state, scores, parameters and run."""
    rows = []
    for trial in sorted(trials, key=lambda one: one.number):
        scores = {name: trial.user_attrs.get(name) for name in DIRECTIONS}
        kept = {"error": trial.user_attrs.get(ERROR), "run_id": trial.user_attrs.get(RUN)}
        rows.append({"trial": trial.number, "state": trial.state.name, **scores, **trial.params, **kept})
    return pd.DataFrame(rows)


def figures(study: Study, objectives: Sequence[str]) -> dict[str, Figure]:
    """Pictures of a study, by name; those that need several trials are left out of one with fewer."""
    mpl.use("agg")
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    found = {}
    # Optuna calls its pictures experimental; matplotlib finds those dull in which all trials are alike.
    warnings.filterwarnings("ignore", category=ExperimentalWarning)
    warnings.filterwarnings("ignore", message="Attempting to set identical low and high")
    for objective in objectives:
        target: dict[str, Any] = {"target_name": objective}
        scores = {trial.user_attrs[objective] for trial in complete}
        if len(objectives) > 1:
            target["target"] = lambda trial, name=objective: trial.user_attrs[name]
        found[f"history_{objective}"] = plots.plot_optimization_history(study, **target)
        found[f"parallel_coordinates_{objective}"] = plots.plot_parallel_coordinate(study, **target)
        if len(scores) > 2:
            evaluator = FanovaImportanceEvaluator(seed=0)
            found[f"importance_{objective}"] = plots.plot_param_importances(study, evaluator=evaluator, **target)
    if len(objectives) == 2:
        found["pareto_front"] = plots.plot_pareto_front(study, target_names=list(objectives))
    drawn = {}
    for name, axes in found.items():
        figure = axes.figure
        assert isinstance(figure, Figure)
        figure.set_size_inches(9, 5)
        for one in figure.axes:
            _restyle(one)
        figure.tight_layout()
        drawn[name] = figure
    pyplot.close("all")
    return drawn


def _restyle(axes: Axes) -> None:
    """Draw Optuna's lines, which go from white to blue on grey, in darker colours on white, and names as they are."""
    axes.set_facecolor("white")
    axes.grid(visible=False)
    for lines in axes.collections:
        if isinstance(lines, LineCollection):
            lines.set_cmap("viridis_r")
    for axis in (axes.xaxis, axes.yaxis):
        # Choices and names of parameters; numbers have other formatters.
        if isinstance(axis.get_major_formatter(), FuncFormatter):
            axis.set_ticks(axis.get_ticklocs(), [as_label(label.get_text()) for label in axis.get_ticklabels()])


def experiment(overrides: Sequence[str], words: Sequence[str], best: FrozenTrial) -> str:
    """The best configuration as a file of experiments/, which ``experiments=NAME`` runs again.

    It holds only what the same run needs on another machine: no place, no secret, and no names of people.
    """
    defaults: list[Any] = []
    values: dict[str, Any] = {}
    parsed = OverridesParser.create().parse_overrides([*overrides, *words])
    for one in parsed:
        named = one.value() if one.key_or_group == "experiments" else None
        names = named if isinstance(named, list) else [named] if named else []
        for name in names:
            known = yaml.safe_load((CONF / "experiments" / f"{name}.yaml").read_text(encoding="utf-8"))
            defaults += [line for line in known.pop("defaults", []) if all(_is_repeated(_group(key)) for key in line)]
            for key, value in known.items():
                _add(values, key, value)
    for one in parsed:
        key = one.key_or_group
        if not Path(CONF / key).is_dir():
            _add(values, key, one.value())
        elif _is_repeated(key):
            defaults = [line for line in defaults if key not in map(_group, line)]
            defaults.append({f"override /{key}": one.value()})
    f1 = best.user_attrs["f1"]
    question = (
        f"What does the best trial of a sweep, number {best.number}, find? Its event F1 in training was {f1:.3f}."
    )
    content = {"defaults": defaults, "question": question, **values} if defaults else {"question": question, **values}
    text: str = yaml.safe_dump(content, sort_keys=False)
    return f"# @package _global_\n{text}"


def _add(values: dict[str, Any], key: str, value: Any) -> None:
    """Add a value under a dotted key, or those below it, where the same run needs them."""
    if isinstance(value, dict):
        for name, below in value.items():
            _add(values, f"{key}.{name}", below)
    elif _is_repeated(key):
        *sections, last = key.split(".")
        for name in sections:
            values = values.setdefault(name, {})
        values[last] = value


def _is_repeated(key: str) -> bool:
    return scope_of(Config, key) >= Scope.REPEATED


def _group(line: str) -> str:
    """Group of a line of a defaults list."""
    return line.removeprefix("override /")
