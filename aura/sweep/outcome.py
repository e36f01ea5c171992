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
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from optuna.exceptions import ExperimentalWarning
from optuna.importance import FanovaImportanceEvaluator
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from aura.config import CONF
from aura.sweep.study import DIRECTIONS, ERROR, RUN

# Places and bookkeeping, which another machine has of its own; but for what the model is called.
ELSEWHERE = ("sweep", "workspace", "compute", "tracking", "hydra", "experiments", "question", "baseline")
NAME = "tracking.model_name"


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
            # Optuna's lines are from white to blue, on grey with white lines.
            one.set_facecolor("white")
            one.grid(visible=False)
            for lines in one.collections:
                if isinstance(lines, LineCollection):
                    lines.set_cmap("viridis_r")
        figure.tight_layout()
        drawn[name] = figure
    pyplot.close("all")
    return drawn


def experiment(overrides: Sequence[str], words: Sequence[str], best: FrozenTrial) -> str:
    """The best configuration as a file of experiments/, which ``experiments=NAME`` runs again."""
    defaults: list[Any] = []
    values: dict[str, Any] = {}
    parsed = OverridesParser.create().parse_overrides([*overrides, *words])
    for one in parsed:
        named = one.value() if one.key_or_group == "experiments" else None
        names = named if isinstance(named, list) else [named] if named else []
        for name in names:
            known = yaml.safe_load((CONF / "experiments" / f"{name}.yaml").read_text(encoding="utf-8"))
            defaults += known.pop("defaults", [])
            kept = {key: value for key, value in known.items() if key not in ELSEWHERE}
            if "model_name" in known.get("tracking", {}):
                kept["tracking"] = {"model_name": known["tracking"]["model_name"]}
            _merge(values, kept)
    for one in parsed:
        key = one.key_or_group
        if key == "dataset.root" or (key.split(".")[0] in ELSEWHERE and key != NAME):
            continue
        if Path(CONF / key).is_dir():
            defaults = [line for line in defaults if f"override /{key}" not in line]
            defaults.append({f"override /{key}": one.value()})
        else:
            nested: Any = one.value()
            for part in reversed(key.split(".")):
                nested = {part: nested}
            _merge(values, nested)
    f1 = best.user_attrs["f1"]
    question = (
        f"What does the best trial of a sweep, number {best.number}, find? Its event F1 in training was {f1:.3f}."
    )
    content = {"defaults": defaults, "question": question, **values} if defaults else {"question": question, **values}
    text: str = yaml.safe_dump(content, sort_keys=False)
    return f"# @package _global_\n{text}"


def _merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value
