"""Results of a sweep: a table of trials, figures, and the best configuration as an experiment."""

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
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from aura.config.schema import Config
from aura.config.scope import Scope, scope_of
from aura.core.figure_text import as_label
from aura.core.paths import CONF
from aura.evaluation.scoring import OBJECTIVES
from aura.search.study import ERROR, RUN, is_feasible


def best_trial(trials: Sequence[FrozenTrial], objectives: Sequence[str]) -> FrozenTrial | None:
    """Return the feasible trial with the best objective; with several objectives, the one with the best F1.

    Among equals it is the first; Optuna leaves the choice to the database.
    """
    feasible = [trial for trial in trials if is_feasible(trial)]
    objective = objectives[0] if len(objectives) == 1 else "f1"
    sign = 1 if OBJECTIVES[objective] == "maximize" else -1
    return max(feasible, key=lambda trial: (sign * trial.user_attrs[objective], -trial.number), default=None)


def tabulate_trials(trials: Sequence[FrozenTrial]) -> pd.DataFrame:
    """Make a table with a row per trial: state, scores, parameters, error, run."""
    rows = []
    for trial in sorted(trials, key=lambda trial: trial.number):
        scores = {name: trial.user_attrs.get(name) for name in OBJECTIVES}
        origin = {"error": trial.user_attrs.get(ERROR), "run_id": trial.user_attrs.get(RUN)}
        rows.append({"trial": trial.number, "state": trial.state.name, **scores, **trial.params, **origin})
    return pd.DataFrame(rows)


def draw_study(study: Study, objectives: Sequence[str]) -> dict[str, Figure]:
    """Draw the figures of a study, by name; importances need three different scores, the front two objectives."""
    mpl.use("agg")
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    axes_of: dict[str, Axes] = {}
    # Optuna's plots are experimental; matplotlib warns if all trials have the same score.
    warnings.filterwarnings("ignore", category=ExperimentalWarning)
    warnings.filterwarnings("ignore", message="Attempting to set identical low and high")
    for objective in objectives:
        target: dict[str, Any] = {"target_name": objective}
        scores = {trial.user_attrs[objective] for trial in complete}
        if len(objectives) > 1:
            target["target"] = lambda trial, name=objective: trial.user_attrs[name]
        axes_of[f"history_{objective}"] = plots.plot_optimization_history(study, **target)
        axes_of[f"parallel_coordinates_{objective}"] = plots.plot_parallel_coordinate(study, **target)
        if len(scores) > 2:
            evaluator = FanovaImportanceEvaluator(seed=0)
            axes_of[f"importance_{objective}"] = plots.plot_param_importances(study, evaluator=evaluator, **target)
    if len(objectives) == 2:
        axes_of["pareto_front"] = plots.plot_pareto_front(study, target_names=list(objectives))
    figures = {}
    for name, axes in axes_of.items():
        figure = axes.figure
        assert isinstance(figure, Figure)
        figure.set_size_inches(9, 5)
        for part in figure.axes:
            _restyle(part)
        figure.tight_layout()
        figures[name] = figure
    pyplot.close("all")
    return figures


def _restyle(axes: Axes) -> None:
    """Draw Optuna's white-to-blue lines in darker colours on white, and escape parameter names in labels."""
    axes.set_facecolor("white")
    axes.grid(visible=False)
    for lines in axes.collections:
        if isinstance(lines, LineCollection):
            lines.set_cmap("viridis_r")
    for axis in (axes.xaxis, axes.yaxis):
        # Labels of choices and parameters; those of numbers have other formatters.
        if isinstance(axis.get_major_formatter(), FuncFormatter):
            axis.set_ticks(axis.get_ticklocs(), [as_label(label.get_text()) for label in axis.get_ticklabels()])


def write_experiment(overrides: Sequence[str], words: Sequence[str], best: FrozenTrial) -> str:
    """Write the best configuration as a file of ``experiments/``, which ``experiments=NAME`` runs again.

    The file holds only what the same run needs on another machine: no path, no secret, and no names of people.

    Parameters
    ----------
    overrides
        Overrides of the sweep.
    words
        Overrides of the best trial.
    best
        The best trial, with its F1 as an attribute.
    """
    defaults: list[Any] = []
    values: dict[str, Any] = {}
    parsed = OverridesParser.create().parse_overrides([*overrides, *words])
    for override in parsed:
        value = override.value() if override.key_or_group == "experiments" else None
        names = value if isinstance(value, list) else [value] if value else []
        for name in names:
            content = yaml.safe_load((CONF / "experiments" / f"{name}.yaml").read_text(encoding="utf-8"))
            defaults += [line for line in content.pop("defaults", []) if all(_is_repeated(_group(key)) for key in line)]
            for key, setting in content.items():
                _add(values, key, setting)
    for override in parsed:
        key = override.key_or_group
        if not Path(CONF / key).is_dir():
            _add(values, key, override.value())
        elif _is_repeated(key):
            defaults = [line for line in defaults if key not in map(_group, line)]
            defaults.append({f"override /{key}": override.value()})
    f1 = best.user_attrs["f1"]
    question = (
        f"What does the best trial of a sweep, number {best.number}, find? Its event F1 in training was {f1:.3f}."
    )
    experiment = (
        {"defaults": defaults, "question": question, **values} if defaults else {"question": question, **values}
    )
    text: str = yaml.safe_dump(experiment, sort_keys=False)
    return f"# @package _global_\n{text}"


def _add(values: dict[str, Any], key: str, value: Any) -> None:
    """Set a value under a dotted key, or the values of a section, if the same run needs them."""
    if isinstance(value, dict):
        for name, nested in value.items():
            _add(values, f"{key}.{name}", nested)
    elif _is_repeated(key):
        *sections, last = key.split(".")
        for name in sections:
            values = values.setdefault(name, {})
        values[last] = value


def _is_repeated(key: str) -> bool:
    return scope_of(Config, key) >= Scope.REPEATED


def _group(line: str) -> str:
    """Return the group that a line of a defaults list names."""
    return line.removeprefix("override /")
