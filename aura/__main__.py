"""``python -m aura STAGE [key=value ...]``: dispatch only."""

import os
import shlex
import sys
from collections.abc import Sequence
from importlib import import_module

STAGES = {
    "synthesize": "make the embedded synthetic corpus",
    "prepare": "recordings to RR intervals: read the ECG, detect the beats",
    "featurize": "RR intervals to a table of features and labels per window",
    "train": "features to a scored, logged and registered seizure detector",
    "main": "prepare, featurize and train in a row, as child runs of one run",
}
USAGE = "usage: python -m aura STAGE [key=value ...]"


def main(argv: Sequence[str]) -> int:
    """Run one stage, or list them.

    Returns
    -------
    int
        0 when it did what it should, 1 when it could not, 2 when it was asked for in a way it does not know.
    """
    if not argv or argv[0] in ("-h", "--help"):
        print(f"{USAGE}\n\nstages:")
        for name, what in STAGES.items():
            print(f"  {name:<11} {what}")
        print("\npython -m aura STAGE --help shows the configuration; --cfg job prints it; README.md has the tour.")
        return 0
    stage, *overrides = argv
    if stage not in STAGES:
        return _refuse(f"there is no stage {stage!r}; there are {', '.join(STAGES)}", 2)

    try:
        overrides = _split_again(overrides)
    except ValueError as error:
        return _refuse(f"{stage}: the overrides cannot be split into words ({error})", 2)
    unknown = [a for a in overrides if a.startswith("--") and "--" in argv and a not in argv[: argv.index("--")]]
    if unknown:
        return _refuse(f"{stage}: {unknown[0]} is no parameter of the entry point; write -P overrides='key=value'", 2)
    return _run(stage, overrides)


def _split_again(arguments: Sequence[str]) -> list[str]:
    """Split what stands behind ``--``: MLflow hands all overrides over as one word, or as an empty one."""
    if "--" not in arguments:
        return list(arguments)
    at = list(arguments).index("--")
    return [*arguments[:at], *(word for argument in arguments[at + 1 :] for word in shlex.split(argument))]


def _run(stage: str, overrides: Sequence[str]) -> int:
    """Hand over to Hydra, which composes the configuration and calls the stage."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf import DictConfig
    from omegaconf.errors import OmegaConfBaseException

    from aura.config import CONF, checked, sentence
    from aura.errors import AuraError

    composed: list[DictConfig] = []
    # Hydra prints its own errors over several lines; with this it raises them instead.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = [f"python -m aura {stage}", *overrides]
    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(composed.append)()
        configs = [checked(one) for one in composed]
    except (HydraException, OmegaConfBaseException, AuraError, ValueError) as error:
        return _refuse(f"{stage}: {sentence(error)}", 2)
    try:
        # None where Hydra only showed something: --help, --cfg, --info.
        for config in configs:
            import_module(f"aura.stages.{stage}").run(config)
    except AuraError as error:
        return _refuse(f"{stage}: {error}", 1)
    except KeyboardInterrupt:
        return _refuse(f"{stage}: stopped; run it again to go on where it was", 130)
    return 0


def _refuse(message: str, code: int) -> int:
    print(f"aura {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
