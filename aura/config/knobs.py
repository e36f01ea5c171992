"""Short words for the keys that people change most: ``n_estimators=300`` for ``model.n_estimators=300``.

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
}
SWEEP = TRAIN | {"n_trials": "sweep.n_trials", "sampler": "sampler", "pruner": "pruner"}
