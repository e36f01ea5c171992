"""``python -m aura STAGE [key=value ...]``, or ``aura`` for short: dispatch only."""

import os
import re
import shlex
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

from aura import __version__
from aura.execution.signals import INTERRUPTED, TERMINATED, Terminated, terminate, tidy_up

STAGES = {
    "synthesize": "make the embedded synthetic corpus",
    "prepare": "recordings to RR intervals: read the ECG, detect the beats",
    "featurize": "RR intervals to a table of features per window",
    "train": "features to a scored, logged and registered seizure detector",
    "sweep": "a search over configurations, which several processes can share",
    "evaluate": "scores of a registered model on any corpus: model=models:/NAME@champion",
    "detect": "annotations of what a registered model finds: edf=FILE, or edf=FOLDER",
    "live": "beats in, probabilities and alarms out, as they come: source=- or source=HOST:PORT",
    "import": "prepared recordings into PostgreSQL: url=postgresql://user@host/aura",
    "export-annotations": "what people annotated there, as files to train on: url=...",
    "dump": "a part of that database as one file to hand over: url=... output=FILE",
    "restore": "such a file into an empty database: url=... dump=FILE",
    "szcore": "one EDF to one events.tsv, in a container of the SzCORE benchmark: environment INPUT and OUTPUT",
    "bench": "what the stages cost, by size and workers, against what they did before: bench.workers=[1,2]",
    "main": "prepare, featurize and train in a row, as child runs of one run",
}
# Words that stand for other keys in a stage; there are groups called model, of what is trained, and dataset.
OWN = {
    "evaluate": {"model": "evaluate.model"},
    "detect": {word: f"detect.{word}" for word in ("edf", "model", "output", "format")},
    "live": {word: f"live.{word}" for word in ("model", "source", "output", "state")},
    "import": {word: f"database.{word}" for word in ("url", "model", "ecg")},
    "export-annotations": {"url": "database.url"}
    | {word: f"export.{word}" for word in ("dataset", "output", "format", "grafana")},
    "dump": {"url": "database.url"}
    | {word: f"dump.{word}" for word in ("dataset", "subjects", "output", "pseudonyms")},
    "restore": {"url": "database.url", "dump": "restore.dump"},
}
# Of stages whose name is none in Python.
MODULES = {"import": "importing", "export-annotations": "export_annotations"}
COMPLETION = ("-sc", "--shell-completion")


def main(argv: Sequence[str]) -> int:
    """Run one stage, or list them.

    Parameters
    ----------
    argv
        The stage and its overrides. What stands behind ``--`` comes from ``mlflow run``, which hands all overrides
        over as one word, or as an empty one; it is split into words here.

    Returns
    -------
    int
        0 when it did what it should, 1 when it could not, 2 when it was asked for in a way it does not know, 130 when
        it was interrupted, 141 when nobody listened any more, 143 when it was asked to end.
    """
    if not argv or argv[0] in ("-h", "--help", "--version"):
        print(f"aura {__version__}" if argv[:1] == ["--version"] else _usage())
        return 0
    if argv[0] in COMPLETION:
        return _complete(argv)
    stage, *overrides = argv
    if stage not in STAGES:
        print(f"aura: there is no stage {stage!r}; there are {', '.join(STAGES)}", file=sys.stderr)
        return 2
    # Each takes off a layer of quotes: MLflow puts one around all overrides, and its Kubernetes backend another.
    while "--" in overrides:
        at = overrides.index("--")
        try:
            words = [word for argument in overrides[at + 1 :] for word in shlex.split(argument)]
        except ValueError as error:
            return _refuse(f"{stage}: the overrides cannot be split into words ({error})", 2)
        # A -P that MLproject does not declare arrives as an option.
        if undeclared := next((word for word in words if word.startswith("-") and word != "--"), None):
            return _refuse(
                f"{stage}: {undeclared} is no parameter here; write -P overrides='key=value ...'",
                2,
            )
        # Without an experiment MLflow leaves the end of the word empty.
        overrides = [*overrides[:at], *(word for word in words if word != "experiments=")]
    overrides = _own_words(stage, overrides)
    # Some options of Hydra are followed by a word of theirs.
    plain = [] if any(word.startswith("-") for word in overrides) else overrides
    for word in plain:
        if "=" not in word and not word.startswith("~"):
            such = f"{next(iter(OWN[stage]))}={word}" if stage in OWN else "dataset.root=/data/recordings"
            return _refuse(f"{stage}: {word!r} sets nothing; write key=value, such as {such}", 2)
        if "=~" in word:
            return _refuse(f"{stage}: the shell leaves the ~ of {word!r} as it is; write $HOME", 2)
    return _run(stage, overrides)


def _own_words(stage: str, words: Sequence[str]) -> list[str]:
    """All words, as Hydra has them."""
    # What detect looks into is said by words of its own, whatever corpus is named.
    root = ["dataset.root=."] if stage == "detect" else []
    return root + [own for word in words if (own := own_word(stage, word)) is not None]


def own_word(stage: str, word: str) -> str | None:
    """A word that only this stage knows, as Hydra has it; its value is taken as it stands, whatever signs are in it.

    None for one that is empty, as MLflow leaves those that were not given.
    """
    key, _, value = word.partition("=")
    if key not in OWN.get(stage, {}):
        return word
    quoted = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value)
    return f"{OWN[stage][key]}='{quoted}'" if value else None


def entry_point() -> None:
    """Run the installed command ``aura``, which SIGTERM ends within five seconds."""
    # As the first process of a container it would not hear of it otherwise.
    signal.signal(signal.SIGTERM, terminate)
    try:
        code = main(sys.argv[1:])
    except Terminated:
        code = _refuse("stopped before it began", TERMINATED)
    if code == INTERRUPTED:
        tidy_up(code)
    sys.exit(code)


def _usage() -> str:
    stages = "\n".join(f"  {name:<18} {what}" for name, what in STAGES.items())
    return f"""usage: python -m aura STAGE [key=value ...]

stages:
{stages}

python -m aura STAGE --help shows the configuration, --cfg job prints it; README.md has the tour.
python -m aura --version prints the version.
Tab completion in bash: eval "$(aura -sc install=bash)"; then aura STAGE key..."""


def _run(stage: str, overrides: Sequence[str]) -> int:
    """Have Hydra compose the configuration, then call the stage."""
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException
    from omegaconf import DictConfig
    from omegaconf.errors import OmegaConfBaseException

    from aura.config.compose import checked
    from aura.config.messages import sentence
    from aura.core.errors import AuraError
    from aura.core.paths import CONF
    from aura.execution.shares import STAGES as SHARED

    composed: list[tuple[DictConfig, list[str]]] = []
    # Hydra prints its own errors over several lines; with this it raises them instead.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = [f"python -m aura {stage}", *overrides]
    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(
            lambda one: composed.append((one, list(HydraConfig.get().overrides.task)))
        )()
        configs = [checked(*one) for one in composed]
        if stage not in SHARED and any(config.partition is not None for config in configs):
            raise AuraError(f"partition is for {' and '.join(SHARED)} alone")
    except (HydraException, OmegaConfBaseException, AuraError, ValueError) as error:
        own = f"; also {', '.join(OWN[stage])}" if stage in OWN and "there is no key" in str(error) else ""
        return _refuse(f"{stage}: {sentence(error)}{own}", 2)
    try:
        # None where Hydra only showed something: --help, --cfg, --info.
        for config in configs:
            import_module(f"aura.stages.{MODULES.get(stage, stage)}").run(config)
    except BrokenPipeError:
        # Whoever read what was said has gone, as with `| head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (AuraError, OSError) as error:
        # A full disk or a folder that cannot be written says which; all that was finished is kept.
        return _refuse("; ".join([f"{stage}: {error}", *getattr(error, "__notes__", ())]), 1)
    except KeyboardInterrupt as error:
        code = TERMINATED if isinstance(error, Terminated) else INTERRUPTED
        return _refuse(f"{stage}: stopped; run it again to go on where it was", code)
    return 0


def _complete(argv: Sequence[str]) -> int:
    """Complete the stage here; Hydra, which knows no stages, completes the rest."""
    import hydra

    from aura.core.paths import CONF

    words = os.environ.get("COMP_LINE", "").split(" ")
    if "query=bash" in argv and len(words) <= 2:
        print(" ".join(STAGES))
        return 0
    os.environ["COMP_LINE"] = " ".join([words[0], *words[2:]])
    sys.argv = ["aura", *argv]
    hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(lambda _: None)()
    return 0


def _refuse(message: str, code: int) -> int:
    print(f"aura {message}", file=sys.stderr)
    return code
