"""Describe scores in words."""

import math
from collections.abc import Mapping

import pandas as pd

from aura.core.wording import counted
from aura.evaluation.results import Evaluation
from aura.evaluation.scoring import FALSE_ALARM_RATE, pool


def summarize_scores(scores: Mapping[str, float], title: str = "held-out subjects") -> str:
    """Summarize scores as a short table; event scores with their 95 % intervals over subjects."""
    lines = [f"{title:<24}{'events':>10}{'':>20}{'seconds':>10}"]
    for name, label, scale, unit in (
        ("sensitivity", "sensitivity", 100, " %"),
        ("precision", "precision", 100, " %"),
        ("f1", "F1", 1, ""),
        ("false_alarms_per_24h", "false alarms per 24 h", 1, ""),
        (FALSE_ALARM_RATE, "  of assessed time", 1, ""),
    ):
        digits = 1 if scale > 1 or "per" in name else 3
        event, low, high, sample = (
            f"{scores[key] * scale:.{digits}f}"
            for key in (f"event_{name}", f"event_{name}_low", f"event_{name}_high", f"sample_{name}")
        )
        # Seconds of false alarm per day are hard to interpret; their share of the time follows below.
        seconds = "" if "false_alarms" in name else sample + unit
        lines.append(f"{label:<24}{event + unit:>10}{f'({low} to {high})':>20}{seconds:>10}".rstrip())
    for name, label in (("false_alarm_time_share", "time in false alarm"), ("assessed_share", "time assessed")):
        lines.append(f"{label:<24}{'':>30}{f'{scores[name]:.1%}'.replace('%', ' %'):>10}")
    lines.append(f"{'ROC-AUC, PR-AUC':<24}{scores['roc_auc']:>10.3f}{'':>20}{scores['pr_auc']:>10.3f}")
    return "\n".join(lines)


NO_BASELINE = (
    "No baseline has been scored on these recordings yet. To compare: aura train experiments=baseline_heart_rate"
)


def describe_scores(scores: Mapping[str, float], evaluation: Evaluation) -> str:
    """Describe the scores of test subjects in one sentence."""
    counts = pool(evaluation.events)
    return (
        f"Event F1 {scores['event_f1']:.3f} ({scores['event_f1_low']:.3f} to {scores['event_f1_high']:.3f}), "
        f"{counts.tp} of {counted(counts.n_ref, 'seizure')} detected, {scores[f'event_{FALSE_ALARM_RATE}']:.1f} false "
        f"alarms per 24 h of assessed time, on {counted(len(evaluation.subjects), 'test subject')}."
    )


def compare_with_baselines(scores: Mapping[str, float], baselines: pd.DataFrame) -> str:
    """Describe which baselines a detector beats: its event F1 is higher, and its false alarm rate is not."""
    if not len(baselines):
        return NO_BASELINE
    lines = []
    for row in baselines.sort_values("f1", ascending=False).to_dict("records"):
        if math.isnan(row[FALSE_ALARM_RATE]):
            lines.append(f"{row['baseline']} was scored by an earlier version, without assessed time; train it again")
            continue
        better = scores["event_f1"] > row["f1"] and scores[f"event_{FALSE_ALARM_RATE}"] <= row[FALSE_ALARM_RATE]
        lines.append(
            f"{'beats' if better else 'does not beat'} {row['baseline']}: F1 {row['f1']:.3f}, sensitivity "
            f"{row['sensitivity']:.1%}, {row[FALSE_ALARM_RATE]:.1f} false alarms per 24 h of assessed time"
        )
    return "\n".join(lines)
