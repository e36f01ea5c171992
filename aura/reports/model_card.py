"""What has to be known of a registered detector, on one page (Mitchell 2019, doi:10.1145/3287560.3287596)."""

import math
from collections.abc import Mapping

import pandas as pd

from aura.config.schema import Config
from aura.core.provenance import Origin
from aura.reports.text import summary

# How the card of a version says it; versions registered before say it nowhere else.
SYNTHETIC = "It is synthetic"


def model_card(
    config: Config,
    scores: Mapping[str, float],
    comparison: str,
    recordings: pd.DataFrame,
    tested: pd.DataFrame,
    *,
    origin: Origin,
    kept: bool,
) -> str:
    """Describe a detector in Markdown.

    Parameters
    ----------
    config
        It was made with.
    scores
        On those it was tested on.
    comparison
        With baselines, in words.
    recordings, tested
        Tables of all recordings of the corpus, and of those it was tested on.
    origin
        What it was trained on.
    kept
        Whether a threshold kept to the limit of false alarms on those it was trained on.
    """
    synthetic = f" {SYNTHETIC}: the scores say nothing about patients." if origin.synthetic else ""
    families = ", ".join(
        f"{family} ({', '.join(f'{length:g} s' for length in config.windows.lengths_s[family])})"
        for family in config.features.families
    )
    beyond = "" if kept else ", to which none kept there"
    what = "forecasts" if "Forecasting" in config.labels["_target_"] else "detects"
    return f"""# {config.tracking.model_name}

A {config.model["_target_"].rpartition(".")[2]} that {what} epileptic seizures from RR intervals, a window each \
{config.windows.step_s:g} s.

## Data

Corpus `{config.dataset.name}`: {recordings["subject"].nunique()} subjects, {len(recordings)} recordings, \
{recordings["duration_s"].sum() / 3600:.1f} h, {recordings["n_seizures"].sum()} annotated seizures.{synthetic}
Tested on {tested["subject"].nunique()} subjects with {tested["n_seizures"].sum()} seizures in \
{tested["duration_s"].sum() / 3600:.1f} h ({config.split["_target_"].rpartition(".")[2]}).

## Scores

SzCORE rules unless the configuration says otherwise; counts pooled over recordings; in brackets 95 % intervals over
subjects.

```
{summary(scores)}
```

Against baselines on the same recordings, it

```
{comparison}
```

{_latency(scores)} Of seizures in which the heart rate rose by more than 50 bpm \
{_share(scores, "responder")}, of the others {_share(scores, "non_responder")}.

## How

Features: {families}; cleaning `{config.cleaning.method}`. Threshold chosen on training subjects for at most \
{config.scoring.max_false_alarms_per_24h:g} false alarms per 24 h of assessed time{beyond}. The whole \
configuration is `config.yaml` of the run.

## Limits

Research software; not a medical device, not for diagnosis or for alarms that anyone relies on. Seizures that leave
the heart rate as it is cannot be found in it. Other sensors, ages and diseases than those of the corpus were not
tested.

Licence: GPL-3.0-or-later.
"""


def _latency(scores: Mapping[str, float]) -> str:
    """How late seizures were found, in words."""
    latency_s = scores["latency_median_s"]
    return "No seizure was found." if math.isnan(latency_s) else f"Median latency {latency_s:.0f} s."


def _share(scores: Mapping[str, float], who: str) -> str:
    """How many were found, in words."""
    n = int(scores[f"{who}_seizures"])
    return f"{scores[f'{who}_sensitivity']:.0%} of {n} were found" if n else "there were none"
