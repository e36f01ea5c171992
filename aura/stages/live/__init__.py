"""Detect seizures while beats arrive."""

from dataclasses import dataclass

from aura.config.stage import Stage


@dataclass(frozen=True)
class LiveConfig:
    """The model, the source of the beats, the place of the answers, and the state file."""

    model: str | None
    source: str
    output: str
    state: str | None


STAGE = Stage(
    name="live",
    help="answer beats with probabilities and alarms as they arrive: source=- or source=HOST:PORT",
    module=f"{__name__}.run",
    order=80,
    sections={"live": LiveConfig},
    shorthand=("live.model", "live.source", "live.output", "live.state"),
    is_measured=False,
)
