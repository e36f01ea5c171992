"""Register versions of a model and choose the champion, which is used by default."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import mlflow
import numpy as np
import pandas as pd

from aura.config.schema import Config
from aura.core.arrays import Floats
from aura.core.errors import AuraError, OutageError
from aura.core.provenance import Origin
from aura.core.wording import counted
from aura.detection.components import LABELLINGS
from aura.evaluation.bootstrap import confidence_interval, score_draws
from aura.evaluation.results import Evaluation
from aura.evaluation.scoring import FALSE_ALARM_RATE, compute_ratio
from aura.learning.labels import describe_task
from aura.reports.model_card import describe_model
from aura.tracking import runs, versions
from aura.tracking.registry import (
    CHALLENGER,
    CHAMPION,
    TAG_BASELINE,
    TAG_LABELS,
    TAG_PROMOTION,
    TAG_SYNTHETIC,
    Registered,
    load,
)

# Fewer subjects are too few to generalize to others.
MIN_SUBJECTS = 5
COUNTS = ("ref_events", "found", "false_alarms", "hours", "assessed_hours")

# Scores another detector on the test recordings of a new version.
ScoreAgain = Callable[[Registered], Evaluation]


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """The model of the active run, and what decides about it.

    Parameters
    ----------
    model_id
        Id of the logged model.
    card
        Model card, which becomes the description of the version.
    origin
        What the model was trained on.
    per_subject
        Scores per test subject, as `aura.evaluation.results.Evaluation.per_subject` returns them.
    tested
        Table of the test recordings, with ``subject`` and ``rr_digest``.
    fingerprint
        Digest of all that decides the model and its promotion.
    """

    model_id: str
    card: str
    origin: Origin
    per_subject: pd.DataFrame
    tested: pd.DataFrame
    fingerprint: str


def register(config: Config, candidate: Candidate, score_again: ScoreAgain) -> str:
    """Register the model of the active run as a new version, and set its alias.

    First, versions of runs that were killed during their registration are settled. Unless ``tracking.register`` is
    ``always``, no version is created if one with the same fingerprint exists.

    The version becomes the champion if there is none. Otherwise its event F1 must be better in most draws of the test
    subjects that the champion has not seen either, and its false alarm rate must keep to the limit.

    Parameters
    ----------
    config
        Configuration, with the name of the model, the required confidence and the limit of false alarms.
    candidate
        The model and its scores.
    score_again
        Scores another detector on the test recordings; called if the champion was scored on others.

    Returns
    -------
    str
        A sentence with the alias and the reason.
    """
    name = config.tracking.model_name
    tags = {"aura.corpus": config.dataset.name, TAG_LABELS: _name_task(config)}
    versions.create_model(name, describe_model(config, candidate.origin), tags)
    # Runs that were killed since this one began are marked first, since nothing else tells that they are not at work.
    runs.settle_killed(config)
    versions.settle(name)
    unique = None if config.tracking.register == "always" else candidate.fingerprint
    twin = None if unique is None else versions.find(name, unique)
    if twin is not None:
        version, draft = str(twin.version), None
    else:
        version, draft = versions.create(
            name, candidate.model_id, unique, partial(_draft, config, candidate, score_again)
        )
    if draft is None:
        mlflow.set_tag("aura.promotion", f"the same model is version {version}")
        same = mlflow.MlflowClient().get_model_version(name, version)
        return f"{versions.describe(same)}; it is the same model, so it is not registered again"
    mlflow.set_tag("aura.promotion", f"version {version}, {draft.alias}: {draft.reason}")
    return f"{name} version {version} is the {draft.alias}: {draft.reason}"


def _draft(config: Config, candidate: Candidate, score_again: ScoreAgain, champion: str | None) -> versions.Draft:
    """Compare the candidate with a champion, and write the version."""
    decision = _decide(config, champion, candidate, score_again)
    beside = {None: "", CHAMPION: f" after version {champion}", CHALLENGER: f" beside version {champion}"}
    got = f"{decision.alias} {versions.now()}{beside[decision.alias if champion else None]}"
    tags = {
        "aura.f1": f"{decision.scores['f1']:.4g}",
        "aura.false_alarms": f"{decision.scores[FALSE_ALARM_RATE]:.4g} per 24 h",
        TAG_PROMOTION: f"{got}: {decision.summary}",
        TAG_SYNTHETIC: str(candidate.origin.synthetic).lower(),
        TAG_LABELS: _name_task(config),
        TAG_BASELINE: config.baseline or "",
        versions.FINGERPRINT: candidate.fingerprint,
    }
    summary, _, details = candidate.card.partition("\n\n")
    return versions.Draft(
        decision.alias,
        champion,
        decision.reason,
        f"{summary}\n\nRegistered as {got}: {decision.reason}.\n\n{details}",
        {key: value for key, value in tags.items() if value},
    )


def _name_task(config: Config) -> str:
    """Return the short name of the labels, such as ``detection``."""
    return LABELLINGS.resolve("labels", config.labels)[0]


@dataclass(frozen=True, slots=True)
class _Decision:
    """The alias of a new version; the reason as a sentence and in some words; its scores."""

    alias: str
    reason: str
    summary: str
    scores: Mapping[str, float]


def _decide(config: Config, champion: str | None, candidate: Candidate, score_again: ScoreAgain) -> _Decision:
    """Compare a new version with the champion."""
    ours = _count_by_subject(candidate.per_subject)
    total = ours.to_numpy().sum(axis=0)[None]
    scores = {name: float(compute_ratio(total, name)[0]) for name in ("f1", FALSE_ALARM_RATE)}
    rate, allowed = scores[FALSE_ALARM_RATE], config.scoring.max_false_alarms_per_24h
    if champion is None:
        alarms = f"it raises {rate:.1f} false alarms per 24 h of assessed time, {allowed:g} are allowed"
        return _Decision(CHAMPION, f"there was no champion; {alarms}", f"F1 {scores['f1']:.3f}", scores)
    try:
        theirs, note = _count_champion(config, champion, candidate, score_again)
    except _NotComparableError as error:
        reason = f"not compared with the champion (version {champion}): {error}"
        return _Decision(CHALLENGER, reason, "not comparable", scores)
    alias, reason, summary = _compare(config, ours.loc[theirs.index].to_numpy(), theirs.to_numpy(), rate)
    return _Decision(alias, f"{reason} (version {champion}{note})", summary, scores)


def _compare(config: Config, ours: Floats, theirs: Floats, rate: float) -> tuple[str, str, str]:
    """Compare a new version with the champion on the same subjects: its alias, the reason, and the reason in short.

    Parameters
    ----------
    config
        Configuration, with the required confidence and the limit of false alarms.
    ours, theirs
        (n_subjects, 5) counts of the new version and of the champion.
    rate
        False alarms of the new version per 24 h of assessed time, on all its test subjects, which may be more.
    """
    f1, their_f1 = (float(compute_ratio(counts.sum(axis=0)[None], "f1")[0]) for counts in (ours, theirs))
    their_rate = float(compute_ratio(theirs.sum(axis=0)[None], FALSE_ALARM_RATE)[0])
    difference = np.subtract(
        *(score_draws(counts, partial(compute_ratio, name="f1"), seed=config.seed) for counts in (ours, theirs))
    )
    defined = difference[~np.isnan(difference)]
    share_better = float((defined > 0).mean()) if len(defined) else 0.0
    low, high = confidence_interval(difference)
    allowed = config.scoring.max_false_alarms_per_24h
    is_better = f1 > their_f1 and share_better >= config.tracking.champion_confidence
    reason = (
        f"event F1 {f1:.3f} against {their_f1:.3f}, better in {share_better:.0%} of the draws of "
        f"{counted(len(ours), 'subject')} ({config.tracking.champion_confidence:.0%} are needed; "
        f"difference {low:+.3f} to {high:+.3f}), with {rate:.1f} false alarms per 24 h of assessed time against "
        f"{their_rate:.1f} ({allowed:g} are allowed)"
    )
    alias = CHAMPION if is_better and rate <= allowed else CHALLENGER
    return alias, reason, f"F1 {f1:.3f} against {their_f1:.3f}"


class _NotComparableError(Exception):
    """A new version cannot be compared with the champion, for the reason in the message."""


def _count_champion(
    config: Config, champion: str, candidate: Candidate, score_again: ScoreAgain
) -> tuple[pd.DataFrame, str]:
    """Count the events of the champion for those test subjects of the new version that it has not seen.

    Returns
    -------
    counts : DataFrame
        A row of `COUNTS` per subject.
    note : str
        A remark, if the champion was scored again.

    Raises
    ------
    _NotComparableError
        If the two cannot be compared.
    """
    name, subjects = config.tracking.model_name, sorted(candidate.per_subject["subject"])
    logged = _read_logged_counts(name, champion)
    if logged is not None:
        _check_enough(subjects)
        return logged.loc[subjects], ""
    try:
        theirs = load(f"models:/{name}/{champion}")
    except OutageError:
        raise
    except AuraError as error:
        raise _NotComparableError(f"it cannot be loaded: {error}") from error
    if theirs.detector.labels and describe_task(theirs.detector.labels) != describe_task(config.labels):
        raise _NotComparableError("it was trained for another task; set tracking.model_name to another name")
    seen = theirs.has_seen(config.dataset.name, candidate.tested)
    if seen is None:
        raise _NotComparableError("its training subjects are not recorded")
    unseen = sorted(set(candidate.tested["subject"][~seen]))
    _check_enough(unseen)
    of_subjects = f"{len(unseen)} of {counted(len(subjects), 'test subject')}"
    note = f", scored again on the {of_subjects} that it has not seen"
    return _count_by_subject(score_again(theirs).per_subject()).loc[unseen], note


def _check_enough(subjects: Sequence[str]) -> None:
    if len(subjects) < MIN_SUBJECTS:
        raise _NotComparableError(
            f"only {counted(len(subjects), 'test subject is', 'test subjects are')} new to both, at least "
            f"{MIN_SUBJECTS} are needed"
        )


def _read_logged_counts(name: str, champion: str) -> pd.DataFrame | None:
    """Read the counts that the champion logged, if it was tested on the same recordings; otherwise None."""
    client = mlflow.MlflowClient()
    run_ids = [runs.active_id(), client.get_model_version(name, champion).run_id]
    existing = [run_id for run_id in run_ids if run_id and runs.exists(run_id)]
    digests = [client.get_run(run_id).data.params.get("test.digest") for run_id in existing]
    if len(digests) < 2 or digests[0] is None or digests[0] != digests[1]:
        return None
    logged = read_per_subject(run_ids[1])
    # Earlier versions did not log their assessed time.
    return _count_by_subject(logged) if "assessed_hours" in logged else None


def read_per_subject(run_id: str) -> pd.DataFrame:
    """Read the scores per test subject that a run logged."""
    # Read as plain values: MLflow's own reader takes a subject called 00000005 for the number 5.
    logged = mlflow.artifacts.load_dict(f"runs:/{run_id}/per_subject.json")
    return pd.DataFrame(logged["data"], columns=logged["columns"])


def _count_by_subject(table: pd.DataFrame) -> pd.DataFrame:
    """Return reference events, detected ones, false alarms, seconds and assessed seconds of each subject."""
    return table.set_index("subject")[list(COUNTS)].astype("float64") * [1, 1, 1, 3600, 3600]
