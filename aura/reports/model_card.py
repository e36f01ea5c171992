"""The model card of a registered detector (Mitchell 2019, doi:10.1145/3287560.3287596)."""

import math
from collections.abc import Mapping

import pandas as pd

from aura.config.schema import Config
from aura.core.provenance import Origin
from aura.core.wording import counted
from aura.evaluation.scoring import FALSE_ALARM_RATE
from aura.reports.text import NO_BASELINE, summarize_scores

# Words of the card that mark a synthetic corpus; versions registered earlier record it nowhere else.
SYNTHETIC = "It is synthetic"


def write_model_card(
    config: Config,
    scores: Mapping[str, float],
    comparison: str,
    recordings: pd.DataFrame,
    tested: pd.DataFrame,
    *,
    origin: Origin,
    keeps_limit: bool,
) -> str:
    """Write the model card of a detector in Markdown.

    Parameters
    ----------
    config
        Configuration of the training.
    scores
        Scores of the test recordings.
    comparison
        Comparison with baselines, in words.
    recordings, tested
        Tables of all recordings of the corpus, and of the test recordings.
    origin
        What the detector was trained on.
    keeps_limit
        Whether a threshold kept to the limit of false alarms on the training recordings.
    """
    parts = (
        _describe_model(config, scores),
        _describe_data(config, recordings, tested, origin),
        _describe_scores(scores, comparison),
        _describe_method(config, keeps_limit=keeps_limit),
        LIMITS,
    )
    return "\n".join(parts)


# A line per paragraph: MLflow breaks lines where the text does.
LIMITS = """## Limits

Research software; not a medical device, not for diagnosis or for alarms that anyone relies on. Seizures that do not \
change the heart rate cannot be detected from it. The model was not tested on other sensors, ages or diseases than \
those of the corpus.

Licence: GPL-3.0-or-later.
"""


def describe_model(config: Config, origin: Origin) -> str:
    """Describe a registered model in Markdown: what it detects, in which corpus, its aliases and its use.

    Parameters
    ----------
    config
        Configuration of the training of a version.
    origin
        What that version was trained on.
    """
    name = config.tracking.model_name
    verb = "Forecasts" if _is_forecaster(config) else "Detects"
    synthetic = f" {SYNTHETIC}: its scores say nothing about patients." if origin.synthetic else ""
    return f"""{verb} epileptic seizures from RR intervals of the corpus {origin.corpus}.{synthetic}

- `champion` is used by `detect`, `live` and serving.
- `previous` is the champion before it. `python -m aura rollback model_name={name}` makes it the champion again.
- `challenger` is the newest version that did not become the champion.

The tag `aura.promotion` of a version says when it got its alias, after which champion, and why. The description of a \
version is its model card.

```bash
python -m aura detect edf=recording.edf model=models:/{name}@champion
mlflow models serve -m models:/{name}@champion --env-manager local --port 5001
```

Input: a row per RR interval, with `t_s` (its end in seconds from the start of the recording) and `rr_ms` (its length \
in ms). Output: the probability of a seizure in each window.

Research software; not a medical device.
"""


def _is_forecaster(config: Config) -> bool:
    return "Forecasting" in config.labels["_target_"]


def _describe_model(config: Config, scores: Mapping[str, float]) -> str:
    model = config.model["_target_"].rpartition(".")[2]
    verb = "Forecasts" if _is_forecaster(config) else "Detects"
    # MLflow's list of versions shows the beginning of the first line.
    return f"""F1 {scores["event_f1"]:.3f}, sensitivity {100 * scores["event_sensitivity"]:.1f} %, \
{scores[f"event_{FALSE_ALARM_RATE}"]:.1f} false alarms per 24 h of assessed time, on test subjects.

{verb} epileptic seizures from RR intervals, by a {model}, with a window every {config.windows.step_s:g} s.
"""


def _describe_data(config: Config, recordings: pd.DataFrame, tested: pd.DataFrame, origin: Origin) -> str:
    synthetic = f" {SYNTHETIC}: the scores say nothing about patients." if origin.synthetic else ""
    return f"""## Data

Corpus `{config.dataset.name}`: {counted(recordings["subject"].nunique(), "subject")}, \
{counted(len(recordings), "recording")}, \
{recordings["duration_s"].sum() / 3600:.1f} h, \
{counted(recordings["n_seizures"].sum(), "annotated seizure")}.{synthetic}
Tested on {counted(tested["subject"].nunique(), "subject")} with {counted(tested["n_seizures"].sum(), "seizure")} in \
{tested["duration_s"].sum() / 3600:.1f} h ({config.split["_target_"].rpartition(".")[2]}).
"""


def _describe_scores(scores: Mapping[str, float], comparison: str) -> str:
    return f"""## Scores

SzCORE rules unless the configuration changes them; counts are pooled over recordings; 95 % intervals over subjects in \
brackets.

```
{summarize_scores(scores)}
```

{_describe_comparison(comparison)}

{_describe_latency(scores)} Of seizures in which the heart rate rose by more than 50 bpm, \
{_describe_detected(scores, "responder")}; of the others, {_describe_detected(scores, "non_responder")}.
"""


def _describe_comparison(comparison: str) -> str:
    if comparison == NO_BASELINE:
        return comparison
    return f"Compared with baselines on the same recordings, it\n\n```\n{comparison}\n```"


def _describe_method(config: Config, *, keeps_limit: bool) -> str:
    families = ", ".join(
        f"{family} ({', '.join(f'{length:g} s' for length in config.windows.lengths_s[family])})"
        for family in config.features.families
    )
    exceeded = "" if keeps_limit else "; no threshold kept to this limit"
    return f"""## Method

Features: {families}; cleaning `{config.cleaning.method}`. The threshold was chosen on training subjects for at most \
{config.scoring.max_false_alarms_per_24h:g} false alarms per 24 h of assessed time{exceeded}. The complete \
configuration is `config.yaml` of the run.
"""


def _describe_latency(scores: Mapping[str, float]) -> str:
    latency_s = scores["latency_median_s"]
    return "No seizure was detected." if math.isnan(latency_s) else f"Median latency {latency_s:.0f} s."


def _describe_detected(scores: Mapping[str, float], group: str) -> str:
    """Describe how many seizures of a group were detected."""
    n = int(scores[f"{group}_seizures"])
    return f"{scores[f'{group}_sensitivity']:.0%} of {n} were detected" if n else "there were none"
