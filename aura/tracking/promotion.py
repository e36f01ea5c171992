"""Which version of a model is the champion: the one that is used where none is named."""

import json
from collections.abc import Callable
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
from aura.detection.components import LABELLINGS
from aura.evaluation import bootstrap
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

# Fewer subjects say nothing of others, however they are drawn.
MIN_SUBJECTS = 5


RATES = ("false_alarms_per_24h", FALSE_ALARM_RATE)


# Tag of a version that does not have its alias yet: which one it is to get.
PENDING = "aura.pending_alias"


COUNTS = ("ref_events", "found", "false_alarms", "hours", "assessed_hours")


def register(
    config: Config,
    model_id: str,
    card: str,
    origin: Origin,
    evaluation: Evaluation,
    tested: pd.DataFrame,
    again: Callable[[Registered], Evaluation],
) -> str:
    """Register the model of the active run as a new version, and give it the alias it deserves.

    The version is made with its card and all tags in one request, so that it is complete whenever it can be seen; then
    it gets its alias. Versions of runs that ended between the two are settled first.

    It becomes the champion when there is none, or when its event F1 is better in most draws of the test subjects that
    the champion has not seen either, and it raises no more false alarms than are allowed.

    Parameters
    ----------
    config
        Whose model it is, how sure one has to be, and how many false alarms are allowed.
    model_id
        Of the logged model.
    card
        Its description, for the registry.
    origin
        What it was trained on.
    evaluation
        Of it, on subjects it was not trained on.
    tested
        The recordings of these.
    again
        Scores another detector on the same recordings, where it was scored on others.

    Returns
    -------
    str
        A sentence: which alias, and why.
    """
    client, name = mlflow.MlflowClient(), config.tracking.model_name
    _create_model(name)
    _settle(name)
    while True:
        champion = client.get_registered_model(name).aliases.get(CHAMPION)
        alias, why, numbers = _decide(config, champion, evaluation, tested, again)
        # Unless another run has moved it meanwhile.
        if client.get_registered_model(name).aliases.get(CHAMPION) == champion:
            break
    tags = {f"aura.{key}": str(value) for key, value in numbers.items()} | {
        TAG_PROMOTION: f"{alias}: {why}",
        TAG_SYNTHETIC: str(origin.synthetic).lower(),
        TAG_LABELS: LABELLINGS.resolve("labels", config.labels)[0],
        TAG_BASELINE: config.baseline or "",
        "aura.training_corpus": origin.corpus,
    }
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
    # By this MLflow's page of the logged model leads to the version.
    client.set_logged_model_tags(model_id, {"mlflow.modelVersions": json.dumps([{"name": name, "version": version}])})
    mlflow.set_tag("aura.promotion", f"version {version}, {alias}: {why}")
    return f"{name} version {version} is the {alias}: {why}"


def _create_model(name: str) -> None:
    """Make sure that the registry has a model of this name, which may have no version yet."""
    try:
        mlflow.MlflowClient().create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _settle(name: str) -> None:
    """Complete or withdraw versions whose run ended while they were waiting for their alias.

    One that has its alias only lacks the end of its registration. Another one is withdrawn, since the champion that it
    was compared with may have changed; its model stays in its run.
    """
    client = mlflow.MlflowClient()
    aliases = client.get_registered_model(name).aliases
    for one in client.search_model_versions(f"name = '{name}' and tags.`{PENDING}` != ''"):
        if runs.exists(one.run_id) and client.get_run(one.run_id).info.status == "RUNNING":
            continue
        if str(aliases.get(one.tags[PENDING])) == str(one.version):
            client.delete_model_version_tag(name, one.version, PENDING)
            continue
        client.delete_model_version(name, one.version)
        print(
            f"{name} version {one.version} is withdrawn: its run {one.run_id} was killed before the version became the "
            f"{one.tags[PENDING]}; the model stays at models:/{one.model_id}"
        )


def _decide(
    config: Config,
    champion: str | None,
    evaluation: Evaluation,
    tested: pd.DataFrame,
    again: Callable[[Registered], Evaluation],
) -> tuple[str, str, dict[str, Any]]:
    """Alias of a new version beside the version that is the champion, why, and the numbers."""
    ours = _by_subject(evaluation.per_subject())
    total = ours.to_numpy().sum(axis=0)[None]
    numbers: dict[str, Any] = {name: float(compute_ratio(total, name)[0]) for name in ("f1", *RATES)}
    allowed = config.scoring.max_false_alarms_per_24h
    if champion is None:
        rate = numbers[FALSE_ALARM_RATE]
        why = f"there was none; it raises {rate:.1f} false alarms per 24 h of assessed time, {allowed:g} are allowed"
        return CHAMPION, why, numbers
    theirs, where = _of_champion(config, champion, evaluation, tested, again)
    if theirs is None:
        return CHALLENGER, f"{where} (version {champion})", numbers
    rate = numbers[FALSE_ALARM_RATE]
    alias, why, compared = _compare(config, ours.loc[theirs.index].to_numpy(), theirs.to_numpy(), rate)
    return alias, f"{why} (version {champion}{where})", numbers | compared


def _compare(config: Config, ours: Floats, theirs: Floats, rate: float) -> tuple[str, str, dict[str, float]]:
    """Alias of the new version, why, and the numbers.

    Of (n_subjects, 5) counts of the same subjects, and the false alarms per 24 h of assessed time of the new version on
    all it was tested on, which may be more.
    """
    f1, their_f1 = (float(compute_ratio(counts.sum(axis=0)[None], "f1")[0]) for counts in (ours, theirs))
    their_rate = float(compute_ratio(theirs.sum(axis=0)[None], FALSE_ALARM_RATE)[0])
    difference = np.subtract(
        *(bootstrap.scores_of_draws(c, partial(compute_ratio, name="f1"), seed=config.seed) for c in (ours, theirs))
    )
    known = difference[~np.isnan(difference)]
    share_better = float((known > 0).mean()) if len(known) else 0.0
    low, high = bootstrap.interval(difference)
    allowed = config.scoring.max_false_alarms_per_24h
    sure, quiet = f1 > their_f1 and share_better >= config.tracking.champion_confidence, rate <= allowed
    why = (
        f"event F1 {f1:.3f} against {their_f1:.3f}, better in {share_better:.0%} of the draws of {len(ours)} subjects "
        f"({config.tracking.champion_confidence:.0%} are needed; difference {low:+.3f} to {high:+.3f}), "
        f"with {rate:.1f} false alarms per 24 h of assessed time against {their_rate:.1f} ({allowed:g} are allowed)"
    )
    numbers = {
        "champion_f1": their_f1,
        f"champion_{FALSE_ALARM_RATE}": their_rate,
        "f1_difference_low": low,
        "f1_difference_high": high,
        "share_better": share_better,
    }
    return CHAMPION if sure and quiet else CHALLENGER, why, numbers


def _of_champion(
    config: Config,
    champion: str,
    evaluation: Evaluation,
    tested: pd.DataFrame,
    again: Callable[[Registered], Evaluation],
) -> tuple[pd.DataFrame | None, str]:
    """Counts of the champion on those subjects of the new version that it has not seen, and what to say of them.

    None where the two cannot be compared, and why.
    """
    client, name = mlflow.MlflowClient(), config.tracking.model_name
    run_ids = [runs.active_id(), client.get_model_version(name, champion).run_id]
    known = [run_id for run_id in run_ids if run_id and runs.exists(run_id)]
    digests = [client.get_run(run_id).data.params.get("test.digest") for run_id in known]
    unseen, theirs = evaluation.subjects, None
    logged = None
    if len(digests) == 2 and digests[0] is not None and digests[0] == digests[1]:
        # Read as it is: MLflow's own reader takes a subject called 00000005 for the number 5.
        logged = mlflow.artifacts.load_dict(f"runs:/{run_ids[1]}/per_subject.json")
    # Earlier versions did not log their assessed time.
    if logged is None or "assessed_hours" not in logged["columns"]:
        try:
            theirs = load(f"models:/{name}/{champion}")
        except OutageError:
            raise
        except AuraError as error:
            return None, f"the champion cannot be loaded: {error}"
        if theirs.detector.labels and describe_task(theirs.detector.labels) != describe_task(config.labels):
            return None, "the champion is to find something else; give tracking.model_name another name"
        seen = theirs.seen(config.dataset.name, tested)
        if seen is None:
            return None, "nobody knows whom the champion was trained on"
        unseen = sorted(set(tested["subject"][~seen]))
    if len(unseen) < MIN_SUBJECTS:
        return (
            None,
            f"{len(unseen)} test subjects that the champion has not seen are too few, {MIN_SUBJECTS} are needed",
        )
    if theirs is not None:
        where = f", scored anew on {len(unseen)} of {len(evaluation.subjects)} test subjects, which it has not seen"
        return _by_subject(again(theirs).per_subject()).loc[unseen], where
    assert logged is not None
    return _by_subject(pd.DataFrame(logged["data"], columns=logged["columns"])).loc[unseen], ""


def _by_subject(table: pd.DataFrame) -> pd.DataFrame:
    """Reference events, events found, false alarms, seconds and assessed seconds of each subject, by name."""
    return table.set_index("subject")[list(COUNTS)].astype("float64") * [1, 1, 1, 3600, 3600]
