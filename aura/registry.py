"""The registry: who is the champion, and what registered versions are made of."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from aura import bootstrap
from aura.config import Config
from aura.errors import AuraError
from aura.evaluation import Evaluation, ratio
from aura.serving import Detector, load_detector
from aura.types import Floats

CHAMPION, CHALLENGER = "champion", "challenger"
COUNTS = ("ref_events", "found", "false_alarms", "hours")


@dataclass(frozen=True, slots=True, eq=False)
class Registered:
    """A detector from the registry or a run, and the run that made it."""

    detector: Detector
    name: str
    run_id: str

    @property
    def subjects(self) -> dict[str, list[str]]:
        """Corpus and subjects it was trained on and tested on, as its run logged them; empty for an old one."""
        try:
            return dict(mlflow.artifacts.load_dict(f"runs:/{self.run_id}/split.json"))
        except MlflowException:
            return {}


def load(uri: str) -> Registered:
    """Load a detector by its address, such as ``models:/aura-seizure-detector@champion`` or ``runs:/.../model``.

    Raises
    ------
    AuraError
        Where there is none.
    """
    try:
        info = mlflow.models.get_model_info(uri)
        folder = Path(mlflow.artifacts.download_artifacts(uri))
    except (MlflowException, OSError) as error:
        raise AuraError(f"model={uri} is no model of {mlflow.get_tracking_uri()}: {_line(error)}") from error
    found = next(iter(folder.glob("data/*/detector.json")), None)
    if found is None:
        raise AuraError(f"model={uri} is no seizure detector of Aura")
    return Registered(load_detector(found.parent), uri, info.run_id)


def promote(config: Config, version: str, evaluation: Evaluation, again: Callable[[Registered], Evaluation]) -> str:
    """Give a new version of the model the alias it deserves.

    It becomes the champion when there is none, or when its event F1 is better in most draws of the test subjects, on
    which both were scored, and it raises no more false alarms than is allowed, or than the champion does.

    Parameters
    ----------
    config
        Whose model it is, how sure one has to be, and how many false alarms are allowed.
    version
        Of the model.
    evaluation
        Of it, on subjects it was not trained on.
    again
        Scores another detector on the same recordings, where it was scored on others.

    Returns
    -------
    str
        A sentence: which alias, and why.
    """
    client, name = mlflow.MlflowClient(), config.tracking.model_name
    allowed = config.scoring.max_false_alarms_per_24h
    ours = _by_subject(evaluation.per_subject())
    false_alarms = float(ratio(ours.sum(axis=0)[None], "false_alarms_per_24h")[0])
    try:
        champion = client.get_model_version_by_alias(name, CHAMPION)
    except MlflowException:
        champion = None
    numbers: dict[str, Any] = {
        "f1": float(ratio(ours.sum(axis=0)[None], "f1")[0]),
        "false_alarms_per_24h": false_alarms,
    }
    if champion is None:
        alias, why = (
            CHAMPION,
            f"there was none; it raises {false_alarms:.1f} false alarms per 24 h, {allowed:g} are allowed",
        )
    else:
        theirs, where = _of_champion(client, champion, version, name, evaluation, again)
        alias, why, compared = _compare(config, ours, theirs)
        numbers |= compared
        why += f" (version {champion.version}{where})"
    client.set_registered_model_alias(name, alias, version)
    for key, value in {"promotion": f"{alias}: {why}", **numbers}.items():
        client.set_model_version_tag(name, version, f"aura.{key}", str(value))
    mlflow.set_tag("aura.promotion", f"version {version}, {alias}: {why}")
    return f"{name} version {version} is the {alias}: {why}"


def describe(name: str, version: str, card: str) -> None:
    """Write the model card where the registry shows it."""
    mlflow.MlflowClient().update_model_version(name, version, description=card)


def _compare(config: Config, ours: Floats, theirs: Floats) -> tuple[str, str, dict[str, float]]:
    """Alias of the new version, why, and the numbers; of (n_subjects, 4) counts of the same subjects."""
    f1, their_f1 = (float(ratio(counts.sum(axis=0)[None], "f1")[0]) for counts in (ours, theirs))
    rate, their_rate = (float(ratio(c.sum(axis=0)[None], "false_alarms_per_24h")[0]) for c in (ours, theirs))
    difference = np.subtract(
        *(bootstrap.scores_of_draws(c, partial(ratio, name="f1"), seed=config.seed) for c in (ours, theirs))
    )
    known = difference[~np.isnan(difference)]
    share_better = float((known > 0).mean()) if len(known) else 0.0
    low, high = bootstrap.interval(difference)
    limit = max(config.scoring.max_false_alarms_per_24h, their_rate)
    sure, quiet = share_better >= config.tracking.champion_confidence, rate <= limit
    why = (
        f"event F1 {f1:.3f} against {their_f1:.3f}, better in {share_better:.0%} of the draws of {len(ours)} subjects "
        f"({config.tracking.champion_confidence:.0%} are needed; difference {low:+.3f} to {high:+.3f}), "
        f"with {rate:.1f} false alarms per 24 h against {their_rate:.1f} ({limit:g} are allowed)"
    )
    numbers = {
        "champion_f1": their_f1,
        "champion_false_alarms_per_24h": their_rate,
        "f1_difference_low": low,
        "f1_difference_high": high,
        "share_better": share_better,
    }
    return CHAMPION if sure and quiet else CHALLENGER, why, numbers


def _of_champion(
    client: mlflow.MlflowClient,
    champion: ModelVersion,
    version: str,
    name: str,
    evaluation: Evaluation,
    again: Callable[[Registered], Evaluation],
) -> tuple[Floats, str]:
    """Counts of the champion on the subjects of the new version, and what has to be said of them."""
    run_id = client.get_model_version(name, version).run_id
    digests = [client.get_run(one).data.params.get("test.digest") for one in (run_id, champion.run_id)]
    if digests[0] is not None and digests[0] == digests[1]:
        # Read as it is: MLflow's own reader takes a subject called 00000005 for the number 5.
        logged = mlflow.artifacts.load_dict(f"runs:/{champion.run_id}/per_subject.json")
        table = pd.DataFrame(logged["data"], columns=logged["columns"])
        return _by_subject(table.set_index("subject").loc[evaluation.subjects].reset_index()), ""
    theirs = load(f"models:/{name}/{champion.version}")
    known = theirs.subjects
    seen = len(set(evaluation.subjects) & set(known.get("train", ()))) if known else 0
    where = ", scored anew on these subjects" + (f", of which it was trained on {seen}" if seen else "")
    return _by_subject(again(theirs).per_subject()), where


def _by_subject(table: pd.DataFrame) -> Floats:
    """(n_subjects, 4) reference events, events found, false alarms and seconds."""
    counts = table[list(COUNTS)].to_numpy(dtype=np.float64)
    counts[:, 3] *= 3600
    return counts


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
