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
from hydra.core.override_parser.types import Override
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
from aura.evaluation.scoring import FALSE_ALARM_RATE, OBJECTIVES
from aura.reports.colours import GREY, YELLOW
from aura.search.study import ERROR, RUN, is_feasible

# What figures call the objectives, with their units. All are event scores of training subjects, out of fold.
LABELS = {
    "f1": "event F1",
    "sensitivity": "sensitivity",
    FALSE_ALARM_RATE: "false alarms per 24 h of assessed time",
}
# What figures call the kinds of trials, by the words of Optuna.
KINDS = {
    **dict.fromkeys(("Objective Value", *LABELS.values(), "Feasible", "Feasible Trial"), "complete"),
    **dict.fromkeys(("Infeasible", "Infeasible Trial"), "complete, too many false alarms"),
    "Best Value": "best so far",
    "Best Trial": "Pareto front",
}
STAR: dict[str, Any] = {
    "marker": "*",
    "markersize": 16,
    "color": YELLOW,
    "markeredgecolor": "black",
    "linestyle": "none",
}


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
    best = best_trial(complete, objectives)
    axes_of: dict[str, Axes] = {}
    # Optuna's plots are experimental; matplotlib warns if all trials have the same score.
    warnings.filterwarnings("ignore", category=ExperimentalWarning)
    warnings.filterwarnings("ignore", message="Attempting to set identical low and high")
    for objective in objectives:
        target: dict[str, Any] = {"target_name": LABELS[objective]}
        scores = {trial.user_attrs[objective] for trial in complete}
        if len(objectives) > 1:
            target["target"] = lambda trial, name=objective: trial.user_attrs[name]
        axes_of[f"history_{objective}"] = axes = plots.plot_optimization_history(study, **target)
        _finish_history(axes, study, best, objective, has_folds=len(objectives) == 1)
        axes_of[f"parallel_coordinates_{objective}"] = axes = plots.plot_parallel_coordinate(study, **target)
        axes.set_title(f"Complete trials by {_direct(objective)}".replace("; ", "\n"), fontsize="medium")
        _name_kinds(axes, bbox_to_anchor=(1.25, 1.0), fontsize="small")
        if len(scores) > 2:
            target["evaluator"] = FanovaImportanceEvaluator(seed=0)
            axes_of[f"importance_{objective}"] = axes = plots.plot_param_importances(study, **target)
            # Optuna's own title is on the left.
            axes.set_title("", loc="left")
            axes.set(title=f"Keys that decide {LABELS[objective]}", xlabel="share of its variance (fANOVA)", ylabel="")
            if (legend := axes.get_legend()) is not None:
                legend.remove()
    if len(objectives) == 2:
        axes_of["pareto_front"] = axes = plots.plot_pareto_front(study, target_names=list(map(_direct, objectives)))
        axes.set_title("Complete trials, and those that no other one beats in both scores")
        if best is not None:
            place = (best.user_attrs[objectives[0]], best.user_attrs[objectives[1]])
            axes.plot(*place, label=f"best F1, trial {best.number}", **STAR)
        _name_kinds(axes)
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


def _finish_history(axes: Axes, study: Study, best: FrozenTrial | None, objective: str, *, has_folds: bool) -> None:
    """Add to the history the trials stopped early, at their last score, and mark the best trial."""
    pruned = [
        (trial.number, trial.intermediate_values[trial.last_step])
        for trial in study.get_trials(deepcopy=False, states=(TrialState.PRUNED,))
        if trial.last_step is not None and has_folds
    ]
    if pruned:
        numbers, values = zip(*pruned, strict=True)
        axes.scatter(numbers, values, marker="x", color=GREY, label="stopped early, at its last fold")
    if any(not is_feasible(trial) for trial in study.get_trials(deepcopy=False)):
        # Optuna draws these without a name.
        axes.scatter([], [], color="#cccccc", label="Infeasible")
    if best is not None:
        axes.plot(best.number, best.user_attrs[objective], label=f"best, trial {best.number}", **STAR)
    axes.set(title=f"Trials by {_direct(objective)}", xlabel="trial", ylabel=LABELS[objective])
    _name_kinds(axes, bbox_to_anchor=(1.02, 1.0))


def _name_kinds(axes: Axes, **place: Any) -> None:
    """Draw the legend again, with words of ours for the kinds of trials that Optuna tells apart."""
    old = axes.get_legend()
    handles, names = axes.get_legend_handles_labels()
    if not handles and old is not None:
        handles = [handle for handle in old.legend_handles if handle is not None]
        names = [text.get_text() for text in old.get_texts()]
    if handles:
        axes.legend(handles, [KINDS.get(name, name) for name in names], loc="upper left" if place else "best", **place)


def _direct(objective: str) -> str:
    """Return the name of a score and which way is better."""
    return f"{LABELS[objective]}; {'higher' if OBJECTIVES[objective] == 'maximize' else 'lower'} is better"


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
            content = _read_experiment(str(name), parsed)
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


def _read_experiment(name: str, parsed: Sequence[Override]) -> dict[str, Any]:
    """Read an experiment of the project, or of the folders that ``--config-dir`` names."""
    named: list[Any] = [override.value() for override in parsed if override.key_or_group == "hydra.searchpath"]
    folders = [CONF, *(Path(str(address).removeprefix("file://")) for addresses in named for address in addresses)]
    file = next(file for folder in folders if (file := folder / "experiments" / f"{name}.yaml").is_file())
    content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return content


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
