"""What the stages from prepare to sweep share: short words, the sections they use, and the parameters they log.

A short word stands for a key that people change often: ``n_estimators=300`` for ``model.n_estimators=300``.
`MLproject` declares them as parameters, so that ``mlflow run . -P n_estimators=300`` works.
"""

# The families of conf/windows/original.yaml; a test compares them. Other families have no short word.
FAMILIES = (
    *("time_domain", "poincare", "entropy", "frequency_domain", "robust", "pnn", "complexity", "jeppesen", "adaptive"),
)
# Each stage takes the words of the stages before it.
PREPARE = {"dataset": "dataset", "detector": "detector", "quality": "quality"}
FEATURIZE = PREPARE | {
    "features": "features",
    "cleaning": "cleaning",
    "step_s": "windows.step_s",
    **{f"{family}_s": f"windows.lengths_s.{family}" for family in FAMILIES},
}
TRAIN = FEATURIZE | {
    "labels": "labels",
    "split": "split",
    "model": "model",
    "n_estimators": "model.n_estimators",
    "max_depth": "model.max_depth",
    "min_samples_leaf": "model.min_samples_leaf",
    "max_samples": "model.max_samples",
    "seed": "seed",
    "register": "tracking.register",
}
SWEEP = TRAIN | {"n_trials": "sweep.n_trials", "sampler": "sampler", "pruner": "pruner"}

# Sections and keys that decide the output of each stage.
PREPARE_USES = ("dataset", "detector", "quality", "prepare")
FEATURIZE_USES = (*PREPARE_USES, "cleaning", "windows", "features")
TRAIN_USES = (
    *FEATURIZE_USES,
    *("labels", "split", "train", "model", "alarms", "scoring", "serving", "seed"),
    *("tracking.model_name", "tracking.champion_confidence"),
)
# Parameters of each run, also where they have their default values; `model` is the option, `model.*` its values.
PREPARE_LOGS = ("dataset.name", "detector", "quality", "quality.*", "prepare.*")
FEATURIZE_LOGS = ("dataset.name", "detector", "cleaning", "cleaning.*", "windows.*", "features", "features.engine")
TRAIN_LOGS = (
    *("dataset.name", "windows.step_s", "windows.lengths_s.*", "split", "split.*", "train.folds"),
    *("train.interictal_per_ictal", "model", "model.*", "scoring.max_false_alarms_per_24h", "seed"),
)
