"""Features to a seizure detector: split, fit, choose the threshold, score, log, register."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from hydra.errors import HydraException
from hydra.utils import get_class, instantiate
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, roc_auc_score

from aura import report, split, tracking, training
from aura.classifier import Classifier, fit, seizure_probability
from aura.config import Config
from aura.errors import AuraError
from aura.features import feature_names
from aura.labels import LEFT_OUT, TARGET, Labelling
from aura.scoring import Counts, EventRules, pool, score_samples
from aura.serving import save_detector
from aura.stages import featurize
from aura.stages.folders import channels_digest, features_folder, is_complete, prepared_folder
from aura.table import digest, read_meta, read_table
from aura.training import ScoredRecording
from aura.types import Bools, Event, Floats, Ints

N_TIMELINES = 3


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """The windows of some recordings, one after the other."""

    recordings: pd.DataFrame
    features: list[str]
    x: Floats
    labels: Ints
    targets: list[tuple[Event, ...]]
    step_s: float

    def of(self, chosen: Bools) -> "Windows":
        """Those of some of the recordings."""
        rows = np.repeat(chosen, self.recordings["n_windows"])
        targets = [events for events, choose in zip(self.targets, chosen, strict=True) if choose]
        recordings = self.recordings[chosen].reset_index(drop=True)
        return Windows(recordings, self.features, self.x[rows], self.labels[rows], targets, self.step_s)

    @property
    def subjects(self) -> Ints:
        """Number of the subject of each window."""
        codes, _ = pd.factorize(self.recordings["subject"], sort=True)
        return np.repeat(codes, self.recordings["n_windows"]).astype(np.int64)

    def scored(self, probability: Floats) -> list[ScoredRecording]:
        """What a detector said, recording by recording."""
        columns = (self.recordings[name] for name in ("recording", "subject", "duration_s"))
        return [
            ScoredRecording(recording, subject, duration_s, self.step_s, part, targets)
            for recording, subject, duration_s, part, targets in zip(
                *columns, self.by_recording(probability), self.targets, strict=True
            )
        ]

    def by_recording(self, values: Floats) -> list[Floats]:
        """Values of windows, cut into recordings."""
        return np.split(values, np.cumsum(self.recordings["n_windows"])[:-1])


def run(config: Config) -> None:
    """Train, score and register a detector on the feature table of this configuration.

    Where there is no such table, featurize runs first, as a child run.
    """
    make_model = check(config)
    folder = features_folder(config)
    rules = EventRules(**asdict(config.scoring))
    with tracking.stage_run("train", config) as active:
        if not _is_current(config):
            featurize.run(config)
        found, meta = read_table(folder / "recordings.parquet")
        tracking.log_upstream({"prepare": meta["upstream"]["run_id"], "featurize": meta["run_id"]})
        recordings = _annotated(found)
        windows = _read(folder, recordings, config.windows.step_s, instantiate(config.labels))
        test_side = split.by_subject(recordings, test_share=config.split.test_share, seed=config.seed)
        train, test = windows.of(~test_side), windows.of(test_side)
        tracking.log_dataset(
            folder, name=config.dataset.name, digest=_data_digest(recordings, config.labels), recordings=recordings
        )
        with instantiate(config.compute).forest():
            out_of_fold = training.out_of_fold(
                make_model, train.x, train.labels, train.subjects, n_folds=config.split.folds, seed=config.seed
            )
            model = fit(make_model(), train.x, train.labels)
        train_curve = training.event_curve(train.scored(out_of_fold), rules)
        threshold = training.choose_threshold(train_curve)
        probability = seizure_probability(model, test.x)
        scored = test.scored(probability)
        events, samples = _counts(scored, threshold, rules)

        scores = _scores(events, samples, test.labels, probability)
        of_labels = {"target_windows": TARGET, "left_out_windows": LEFT_OUT}
        counts = {name: int((windows.labels == label).sum()) for name, label in of_labels.items()}
        tracking.log_metrics({**scores, **counts, "threshold": threshold})
        tracking.log_table(_per_subject(scored, events, samples), "per_subject.json")
        tracking.log_figures(_figures(model, train_curve, test, scored, threshold, rules, scores))
        with TemporaryDirectory() as saved:
            save_detector(Path(saved), model, config.feature_spec, threshold=threshold)
            version = tracking.log_model(Path(saved), config.feature_spec, config.tracking.model_name)
        promotion = tracking.promote(config.tracking.model_name, version, config.tracking.champion_metric)

    print(
        f"train: {len(recordings)} recordings, {train.recordings['subject'].nunique()} subjects to train on, "
        f"{test.recordings['subject'].nunique()} to test on with {test.recordings['n_seizures'].sum()} seizures in "
        f"{test.recordings['duration_s'].sum() / 3600:.1f} h; run {active.info.run_id}\n"
        f"\n{summary(scores)}\n\n{promotion}"
    )


def check(config: Config) -> Callable[[], Classifier]:
    """Give what makes the model, seeded and with its threads, after its parameters were tried on a few rows."""
    taken = inspect.signature(get_class(config.model["_target_"])).parameters
    defaults = {"random_state": config.seed, "n_jobs": instantiate(config.compute).n_workers}
    values = {**{name: value for name, value in defaults.items() if name in taken}, **config.model}
    make_model: Callable[[], Classifier] = partial(instantiate, values, _convert_="all")
    try:
        training.check_parameters(make_model)
    except HydraException as error:
        raise AuraError(f"model: {' '.join(str(error.__cause__ or error).split())}") from error
    return make_model


def _annotated(found: pd.DataFrame) -> pd.DataFrame:
    """Recordings of which somebody said where the seizures are; the others teach nothing."""
    recordings = found[found["annotated"]].astype({"n_seizures": "int64"}).reset_index(drop=True)
    if not len(recordings):
        raise AuraError(f"none of the {len(found)} recordings is annotated; without seizures there is nothing to learn")
    if len(recordings) < len(found):
        print(f"train: {len(found) - len(recordings)} of {len(found)} recordings have no annotations and are left out")
    return recordings


def _data_digest(recordings: pd.DataFrame, labels: Mapping[str, Any]) -> str:
    """Name for who was recorded, for how long, with which seizures, and what is to be found of them.

    Features and detectors do not count.
    """
    known = recordings[["recording", "subject", "split", "duration_s", "n_seizures", "seizure_s"]]
    # What is left out of fitting is scored all the same.
    targets = {key: value for key, value in labels.items() if key not in ("min_overlap", "postictal_s")}
    return digest(known.astype({"split": "object"}).where(known.notna(), None).to_dict("list"), targets)


def _is_current(config: Config) -> bool:
    """Whether the feature table is there, and made from what prepare left last."""
    folder = features_folder(config)
    if not is_complete(folder, "windows"):
        return False
    made = read_meta(folder / "recordings.parquet")
    # Without prepared recordings there is nothing newer to make it from.
    prepared = read_meta(prepared_folder(config) / "recordings.parquet")
    return (
        made is not None
        and made["upstream"]["channels"] == channels_digest(config)
        and (prepared is None or made["upstream"]["run_id"] == prepared["run_id"])
    )


def _read(folder: Path, recordings: pd.DataFrame, step_s: float, labelling: Labelling) -> Windows:
    """Windows of all recordings, labelled."""
    frames, labels, targets = [], [], []
    for recording, pairs in zip(recordings["recording"], recordings["seizures"], strict=True):
        frame, _ = read_table(folder / "windows" / f"{recording}.parquet")
        seizures = [Event(onset_s, duration_s) for onset_s, duration_s in pairs]
        labels.append(labelling(frame["t_s"].to_numpy(), step_s=step_s, seizures=seizures).label)
        targets.append(labelling.targets(seizures))
        frames.append(frame)
    table = pd.concat(frames, ignore_index=True)
    features = feature_names(table)
    return Windows(recordings, features, table[features].to_numpy(), np.concatenate(labels), targets, step_s)


def _counts(
    scored: Sequence[ScoredRecording], threshold: float, rules: EventRules
) -> tuple[list[Counts], list[Counts]]:
    """Event and sample counts of each recording."""
    samples = [score_samples(r.targets, r.alarms(threshold), duration_s=r.duration_s) for r in scored]
    return training.event_counts(scored, threshold, rules), samples


def _scores(events: Sequence[Counts], samples: Sequence[Counts], labels: Ints, probability: Floats) -> dict[str, float]:
    """Scores pooled over the recordings, by name."""
    # Postictal windows are judged as well: they were left out of fitting, but an alarm in them is a false one.
    used = ~np.isnan(probability)
    is_target = labels[used] == TARGET
    return {
        **{f"event_{name}": value for name, value in pool(events).ratios().items()},
        **{f"sample_{name}": value for name, value in pool(samples).ratios().items()},
        "roc_auc": float(roc_auc_score(is_target, probability[used])),
        "pr_auc": float(average_precision_score(is_target, probability[used])),
    }


def _per_subject(
    scored: Sequence[ScoredRecording], events: Sequence[Counts], samples: Sequence[Counts]
) -> pd.DataFrame:
    """A row of counts and scores per test subject."""
    rows = []
    for subject in sorted({r.subject for r in scored}):
        mine = [i for i, r in enumerate(scored) if r.subject == subject]
        event, sample = pool(events[i] for i in mine), pool(samples[i] for i in mine)
        rows.append(
            {
                "subject": subject,
                "hours": event.duration_s / 3600,
                "ref_events": event.n_ref,
                "found": event.tp,
                "false_alarms": event.fp,
                **{f"event_{name}": value for name, value in event.ratios().items()},
                **{f"sample_{name}": value for name, value in sample.ratios().items()},
            }
        )
    return pd.DataFrame(rows)


def _figures(
    model: Classifier,
    train_curve: pd.DataFrame,
    test: Windows,
    scored: Sequence[ScoredRecording],
    threshold: float,
    rules: EventRules,
    scores: Mapping[str, float],
) -> dict[str, Figure]:
    """Pictures of the run, by name."""
    probability = np.concatenate([r.probability for r in scored])
    used = ~np.isnan(probability)
    shown = sorted(range(len(scored)), key=lambda i: (-len(scored[i].targets), scored[i].recording))[:N_TIMELINES]
    bpm = next((i for i, name in enumerate(test.features) if name.startswith("mean_hr__")), None)
    heart_rates = test.by_recording(test.x[:, bpm]) if bpm is not None else [None] * len(scored)
    figures = {
        "sensitivity_false_alarms": report.false_alarm_curve(
            training.event_curve(scored, rules),
            train_curve,
            sensitivity=scores["event_sensitivity"],
            false_alarms=scores["event_false_alarms_per_24h"],
        ),
        "precision_recall": report.precision_recall(test.labels[used] == TARGET, probability[used]),
        "timelines": report.timelines([scored[i] for i in shown], [heart_rates[i] for i in shown], threshold),
    }
    importance = getattr(model, "feature_importances_", None)
    if importance is not None:
        figures["feature_importance"] = report.feature_importance(test.features, importance)
    return figures


def summary(scores: Mapping[str, float]) -> str:
    """Scores as a short table."""
    lines = [f"{'held-out subjects':<24}{'events':>10}{'seconds':>10}"]
    for name, title, scale, unit in (
        ("sensitivity", "sensitivity", 100, " %"),
        ("precision", "precision", 100, " %"),
        ("f1", "F1", 1, ""),
        ("false_alarms_per_24h", "false alarms per 24 h", 1, ""),
    ):
        cells = (
            f"{scores[f'{kind}_{name}'] * scale:.{1 if scale > 1 or 'per' in name else 3}f}{unit}"
            for kind in ("event", "sample")
        )
        lines.append(f"{title:<24}" + "".join(f"{cell:>10}" for cell in cells))
    lines.append(f"{'ROC-AUC, PR-AUC':<24}{scores['roc_auc']:>10.3f}{scores['pr_auc']:>10.3f}")
    return "\n".join(lines)
