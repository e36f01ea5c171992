"""Names from data in figures: drawn as they are, whatever they contain."""

import io
import re
from html import unescape

import matplotlib as mpl
import numpy as np
import optuna
import pandas as pd
import pytest
from matplotlib.figure import Figure
from optuna.trial import TrialState

from aura.core.events import Event
from aura.core.figure_text import LONGEST
from aura.core.series import RRSeries
from aura.evaluation.results import ScoredRecording
from aura.evaluation.scoring import FALSE_ALARM_RATE, OBJECTIVES
from aura.reports import figures
from aura.reports import sweep as sweep_reports

LONG = "clinic-" + "n" * 186 + "-night1"
DRAWN = {
    "p$1_$_0": "p$1_$_0",
    "$\\frac{$": "$\\frac{$",
    "a\\$b$c": "a\\$b$c",
    "x^2_{i": "x^2_{i",
    "two\nlines\tand a tab": "two lines and a tab",
    LONG: f"{LONG[:23]}…{LONG[-23:]}",
    "": "",
    "\x00\x1b[31m": "\N{REPLACEMENT CHARACTER}" * 2 + "[31m",
    "<b>&": "<b>&",
    "王": "王",
    "😀": "😀",
    "שלום": "שלום",
}


def texts(figure: Figure) -> list[str]:
    """Text in a figure, as it is drawn."""
    drawn = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none"}):
        figure.savefig(drawn, format="svg")
    return [unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", drawn.getvalue())]


def per_subject(names: list[str]) -> Figure:
    n = np.arange(len(names))
    return figures.draw_subjects(
        pd.DataFrame(
            {"subject": names, "ref_events": n, "found": n // 2, "event_false_alarms_per_assessed_24h": n * 1.0}
        )
    )


def timeline(name: str) -> Figure:
    rr_ms = np.full(50, 1000.0)
    seizures, score = (Event(10.0, 5.0),), np.linspace(0, 1, 50)
    scored = ScoredRecording(
        name, name, 50.0, seizures, np.array([np.nan]), 1.0, score, score, 0.5, np.zeros(50, dtype=np.int64), seizures
    )
    panel = figures.Panel(f"missed, {name}", scored, (), RRSeries(np.cumsum(rr_ms) / 1000, rr_ms, 50.0), 0.0, 50.0)
    return figures.draw_timelines([panel])


@pytest.mark.filterwarnings("ignore:Glyph")
def test_names_are_drawn_literally() -> None:
    drawn = texts(per_subject(list(DRAWN)))
    assert [text for text in DRAWN.values() if text and text not in drawn] == []
    for name, expected in DRAWN.items():
        # The whole title has the limit, not the name alone.
        title = "missed, " + expected.strip()
        assert len(name) > LONGEST or title.strip() in texts(timeline(name))


def test_subjects_with_equal_labels_keep_separate_rows() -> None:
    names = [f"{'a' * 100}{middle}{'b' * 100}" for middle in "xyz"]
    left = per_subject(names).axes[0]
    assert [bar.get_y() + bar.get_height() / 2 for bar in left.patches[:3]] == [0, 1, 2]
    assert len({label.get_text() for label in left.get_yticklabels()}) == 1


@pytest.mark.slow
def test_any_number_of_subjects_can_be_drawn() -> None:
    assert per_subject([f"s{i}" for i in range(3000)]).get_size_inches().tolist() == [7.5, 100.0]


def test_choices_of_a_sweep_are_drawn_literally() -> None:
    study = optuna.create_study(direction="maximize")
    space = {
        "model.word": optuna.distributions.CategoricalDistribution(("p$1_$_0", "plain")),
        "model.number": optuna.distributions.FloatDistribution(1e-4, 1.0, log=True),
    }
    for word, number in (("p$1_$_0", 1e-3), ("plain", 0.5)):
        values = {"model.word": word, "model.number": number}
        attributes = {"f1": number}
        study.add_trial(
            optuna.trial.create_trial(params=values, distributions=space, value=number, user_attrs=attributes)
        )
    drawn = texts(sweep_reports.draw_study(study, ["f1"])["parallel_coordinates_f1"])
    assert {"p$1_$_0", "plain", "model.word", "model.number"} <= set(drawn)


def small_study(objectives: list[str]) -> optuna.Study:
    """A study whose trial 1 is best, 2 has too many false alarms, and 3 was stopped early."""
    study = optuna.create_study(directions=[OBJECTIVES[name] for name in objectives])
    space = {"model.number": optuna.distributions.FloatDistribution(0, 1)}
    for number, (f1, rate) in enumerate([(0.4, 3.0), (0.6, 20.0), (0.8, 30.0), (0.1, 0.0)]):
        scores = {"f1": f1, "sensitivity": f1, FALSE_ALARM_RATE: rate}
        values = [scores[name] for name in objectives]
        if number < 3:
            study.add_trial(
                optuna.trial.create_trial(
                    params={"model.number": f1},
                    distributions=space,
                    values=values,
                    user_attrs=scores,
                    constraints={FALSE_ALARM_RATE: rate - 24},
                )
            )
        elif len(objectives) == 1:
            study.add_trial(optuna.trial.create_trial(state=TrialState.PRUNED, intermediate_values={0: f1}, value=f1))
    return study


def test_figures_of_a_sweep_say_which_way_is_better_and_tell_kinds_of_trials_apart() -> None:
    history = texts(sweep_reports.draw_study(small_study(["f1"]), ["f1"])["history_f1"])
    kinds = {"complete", "complete, too many false alarms", "stopped early, at its last fold", "best, trial 1"}
    assert {"Trials by event F1; higher is better", "event F1", "trial", "best so far", *kinds} <= set(history)


def test_figures_of_two_objectives_name_both_with_their_units() -> None:
    objectives = ["sensitivity", FALSE_ALARM_RATE]
    figures_of = sweep_reports.draw_study(small_study(objectives), objectives)
    rate = "false alarms per 24 h of assessed time"
    assert f"Trials by {rate}; lower is better" in texts(figures_of[f"history_{FALSE_ALARM_RATE}"])
    front = texts(figures_of["pareto_front"])
    assert {"sensitivity; higher is better", f"{rate}; lower is better", "Pareto front", "best F1, trial 1"} <= set(
        front
    )


def test_the_best_trial_keeps_the_limit_of_false_alarms() -> None:
    trials = small_study(["f1"]).get_trials(states=(TrialState.COMPLETE,))
    best = sweep_reports.best_trial(trials, ["f1"])
    assert best is not None
    assert best.number == 1
    assert sweep_reports.best_trial(trials[2:], ["f1"]) is None


def test_figures_with_any_name_are_logged(tracking_uri: str) -> None:
    import mlflow

    from aura.tracking import logs

    with mlflow.start_run() as run:
        logs.log_figures({"per_subject": per_subject(list(DRAWN)), "worst": timeline("王 $1_$_0")})
    logged = mlflow.MlflowClient().list_artifacts(run.info.run_id)
    assert sorted(file.path for file in logged) == ["per_subject.png", "worst.png"]
