"""Register versions of a model and choose the champion, which is used by default."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException

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
from aura.tracking import runs
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
RATES = ("false_alarms_per_24h", FALSE_ALARM_RATE)
# Tag of a version that waits for its alias; its value is that alias.
PENDING = "aura.pending_alias"
COUNTS = ("ref_events", "found", "false_alarms", "hours", "assessed_hours")


# Scores another detector on the test recordings of a new version.
ScoreAgain = Callable[[Registered], Evaluation]


def register(
    config: Config,
    model_id: str,
    card: str,
    origin: Origin,
    evaluation: Evaluation,
    tested: pd.DataFrame,
    score_again: ScoreAgain,
) -> str:
    """Register the model of the active run as a new version, and set its alias.

    The version is created with its card and all tags in one request, so it is complete as soon as it is visible; then
    it gets its alias. First, versions of runs that were killed between these two steps are settled.

    It becomes the champion if there is none. Otherwise its event F1 must be better in most draws of the test subjects
    that the champion has not seen either, and its false alarm rate must keep to the limit.

    Parameters
    ----------
    config
        Configuration, with the name of the model, the required confidence and the limit of false alarms.
    model_id
        Id of the logged model.
    card
        Model card, the description in the registry.
    origin
        What the model was trained on.
    evaluation
        Its scores on test subjects.
    tested
        Table of the test recordings.
    score_again
        Scores another detector on the test recordings; called if the champion was scored on others.

    Returns
    -------
    str
        A sentence with the alias and the reason.
    """
    client, name = mlflow.MlflowClient(), config.tracking.model_name
    _create_model(name)
    _settle(name)
    while True:
        champion = client.get_registered_model(name).aliases.get(CHAMPION)
        alias, reason, numbers = _decide(config, champion, evaluation, tested, score_again)
        # Another run may have moved the alias meanwhile.
        if client.get_registered_model(name).aliases.get(CHAMPION) == champion:
            break
    tags = {f"aura.{key}": str(value) for key, value in numbers.items()} | {
        TAG_PROMOTION: f"{alias}: {reason}",
        TAG_SYNTHETIC: str(origin.synthetic).lower(),
        TAG_LABELS: LABELLINGS.resolve("labels", config.labels)[0],
        TAG_BASELINE: config.baseline or "",
        "aura.training_corpus": origin.corpus,
    }
    version = _create_version(name, model_id, card, tags, alias)
    mlflow.set_tag("aura.promotion", f"version {version}, {alias}: {reason}")
    return f"{name} version {version} is the {alias}: {reason}"


def _create_version(name: str, model_id: str, card: str, tags: Mapping[str, str], alias: str) -> str:
    """Create a version of a model and set its alias; return its number."""
    client = mlflow.MlflowClient()
    version = str(
        client.create_model_version(
            name,
            f"models:/{model_id}",
            runs.active_id(),
            tags={**tags, PENDING: alias},
            description=card,
            model_id=model_id,
        ).version
    )
    client.set_registered_model_alias(name, alias, version)
    client.delete_model_version_tag(name, version, PENDING)
    # By this tag, MLflow's page of the logged model links to the version.
    client.set_logged_model_tags(model_id, {"mlflow.modelVersions": json.dumps([{"name": name, "version": version}])})
    return version


def _create_model(name: str) -> None:
    """Create a registered model unless it exists; it may have no version yet."""
    try:
        mlflow.MlflowClient().create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _settle(name: str) -> None:
    """Complete or withdraw the versions whose run was killed before it set their alias.

    A version that has its alias only lacks the end of its registration. Any other version is withdrawn, since the
    champion that it was compared with may have changed; its model stays in its run.
    """
    client = mlflow.MlflowClient()
    aliases = client.get_registered_model(name).aliases
    for version in client.search_model_versions(f"name = '{name}' and tags.`{PENDING}` != ''"):
        if runs.exists(version.run_id) and client.get_run(version.run_id).info.status == "RUNNING":
            continue
        if str(aliases.get(version.tags[PENDING])) == str(version.version):
            client.delete_model_version_tag(name, version.version, PENDING)
            continue
        client.delete_model_version(name, version.version)
        print(
            f"{name} version {version.version} is withdrawn: its run {version.run_id} was killed before the version "
            f"became the {version.tags[PENDING]}; the model stays at models:/{version.model_id}"
        )


def _decide(
    config: Config,
    champion: str | None,
    evaluation: Evaluation,
    tested: pd.DataFrame,
    score_again: ScoreAgain,
) -> tuple[str, str, dict[str, Any]]:
    """Compare a new version with the champion: its alias, the reason, the numbers."""
    ours = _count_by_subject(evaluation.per_subject())
    total = ours.to_numpy().sum(axis=0)[None]
    numbers: dict[str, Any] = {name: float(compute_ratio(total, name)[0]) for name in ("f1", *RATES)}
    rate, allowed = numbers[FALSE_ALARM_RATE], config.scoring.max_false_alarms_per_24h
    if champion is None:
        alarms = f"it raises {rate:.1f} false alarms per 24 h of assessed time, {allowed:g} are allowed"
        return CHAMPION, f"there was no champion; {alarms}", numbers
    try:
        theirs, note = _count_champion(config, champion, evaluation, tested, score_again)
    except _NotComparableError as error:
        return CHALLENGER, f"not compared with the champion (version {champion}): {error}", numbers
    alias, reason, compared = _compare(config, ours.loc[theirs.index].to_numpy(), theirs.to_numpy(), rate)
    return alias, f"{reason} (version {champion}{note})", numbers | compared


def _compare(config: Config, ours: Floats, theirs: Floats, rate: float) -> tuple[str, str, dict[str, float]]:
    """Compare a new version with the champion on the same subjects: its alias, the reason, the numbers.

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
    numbers = {
        "champion_f1": their_f1,
        f"champion_{FALSE_ALARM_RATE}": their_rate,
        "f1_difference_low": low,
        "f1_difference_high": high,
        "share_better": share_better,
    }
    return CHAMPION if is_better and rate <= allowed else CHALLENGER, reason, numbers


class _NotComparableError(Exception):
    """A new version cannot be compared with the champion, for the reason in the message."""


def _count_champion(
    config: Config,
    champion: str,
    evaluation: Evaluation,
    tested: pd.DataFrame,
    score_again: ScoreAgain,
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
    name = config.tracking.model_name
    logged = _read_logged_counts(name, champion)
    if logged is not None:
        _check_enough(evaluation.subjects)
        return logged.loc[evaluation.subjects], ""
    try:
        theirs = load(f"models:/{name}/{champion}")
    except OutageError:
        raise
    except AuraError as error:
        raise _NotComparableError(f"it cannot be loaded: {error}") from error
    if theirs.detector.labels and describe_task(theirs.detector.labels) != describe_task(config.labels):
        raise _NotComparableError("it was trained for another task; set tracking.model_name to another name")
    seen = theirs.has_seen(config.dataset.name, tested)
    if seen is None:
        raise _NotComparableError("its training subjects are not recorded")
    unseen = sorted(set(tested["subject"][~seen]))
    _check_enough(unseen)
    of_subjects = f"{len(unseen)} of {counted(len(evaluation.subjects), 'test subject')}"
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
    # Read as plain values: MLflow's own reader takes a subject called 00000005 for the number 5.
    logged = mlflow.artifacts.load_dict(f"runs:/{run_ids[1]}/per_subject.json")
    # Earlier versions did not log their assessed time.
    if "assessed_hours" not in logged["columns"]:
        return None
    return _count_by_subject(pd.DataFrame(logged["data"], columns=logged["columns"]))


def _count_by_subject(table: pd.DataFrame) -> pd.DataFrame:
    """Return reference events, detected ones, false alarms, seconds and assessed seconds of each subject."""
    return table.set_index("subject")[list(COUNTS)].astype("float64") * [1, 1, 1, 3600, 3600]
