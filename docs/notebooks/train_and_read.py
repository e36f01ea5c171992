# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
# ---

# %% [markdown]
# # Train and read a run
#
# This notebook makes a small synthetic corpus, trains a detector on it, and reads the scores back from MLflow.
# It keeps everything in the current folder. The corpus is far too small for good scores: it shows the way.

# %%
import os

from aura.cli import main

os.environ["MLFLOW_TRACKING_URI"] = "sqlite:///mlflow.db"
settings = [
    "dataset.root=data",
    "dataset.synthesis.subjects=6",
    "dataset.synthesis.hours_per_subject=0.5",
    "dataset.synthesis.recording_minutes=15",
    "dataset.synthesis.eeg_channels=2",
    "features=original",
    "windows.step_s=4",
    "model.n_estimators=20",
    "train.folds=2",
    "workspace=workspace",
    "compute=serial",
]
assert main(["synthesize", *settings]) == 0
assert main(["main", *settings]) == 0

# %% [markdown]
# ## The run
#
# Each stage is a run. The run of `train` has the scores. Names that end in `_low` and `_high` are the ends of 95 % intervals over subjects.

# %%
import mlflow

runs = mlflow.search_runs(experiment_names=["aura"])
run = runs[runs["tags.aura.stage"] == "train"].iloc[0]
for metric in ("event_sensitivity", "event_precision", "event_f1", "event_false_alarms_per_assessed_24h", "threshold"):
    print(f"{metric:40} {run[f'metrics.{metric}']:.3f}")

# %% [markdown]
# Tables are artifacts of the run. This one has a row per seizure, with its latency and the rise of the heart rate.

# %%
seizures = mlflow.load_table("seizures.json", run_ids=[run["run_id"]])
seizures.head()

# %% [markdown]
# ## The detector
#
# The registered version can be loaded without executing anything in it. `predict` returns the probability of each window.

# %%
from pathlib import Path

import aura

folder = mlflow.artifacts.download_artifacts("models:/aura-seizure-detector-synthetic@champion")
detector = aura.load_detector(folder)
(prepared,) = Path("workspace/synthetic").glob("prepared-*")
corpus = aura.PreparedCorpus.open(prepared)
name = corpus.recordings["recording"].iloc[0]
predicted = detector.predict(corpus[name].rr)
predicted.dropna(subset="probability").head()

# %% [markdown]
# ## Alarms
#
# The probability is smoothed to a score. An alarm begins where the score reaches the threshold.

# %%
detections = detector.detect(corpus[name].rr)
print(f"{name}: {len(detections.alarms)} alarms, {len(corpus[name].seizures)} annotated seizures")
