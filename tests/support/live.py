"""Lines of beats for live detectors."""

import json

import pandas as pd

MODEL = "models:/aura-seizure-detector-synthetic@champion"


def lines_of(beats: pd.DataFrame) -> list[str]:
    return [
        json.dumps({"t_s": t_s, "rr_ms": rr_ms}) + "\n" for t_s, rr_ms in zip(beats["t_s"], beats["rr_ms"], strict=True)
    ]


def beats_at(*times_s: float) -> list[str]:
    return [json.dumps({"t_s": t_s, "rr_ms": 1000}) for t_s in times_s]
