"""The command line: ``aura STAGE [key=value ...]``, or ``python -m aura``. It finds the stage and calls it."""

import json
import os
import shlex
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aura import __version__
from aura.config.stage import Stage, find_stages
from aura.execution.signals import INTERRUPTED, TERMINATED, Terminated, terminate, tidy_up

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from aura.config.schema import Config

HELP = ("-h", "--help")
CONFIG_DIR = ("-cd", "--config-dir")
# Key of Hydra that holds further folders of configuration files.
SEARCH_PATH = "hydra.searchpath"
COMPLETION = ("-sc", "--shell-completion")


class UsageError(Exception):
    """The words of the command line cannot be understood; the message is one sentence."""


def main(argv: Sequence[str]) -> int:
    """Run a stage, or list the stages.

    Parameters
    ----------
    argv
        The stage and its overrides. Words after ``--`` come from ``mlflow run``, which passes all overrides as one
        word, or as an empty one; they are split here.

    Returns
    -------
    int
        0 after success, 1 after a failure, 2 for a wrong command line or configuration, 130 after Ctrl-C, 141 if the
        reader of the output closed it, 143 after SIGTERM.
    """
    stages = find_stages()
    if not argv or argv[0] in HELP:
        print(_usage(stages))
        return 0
    if argv[0] == "--version":
        print(f"aura {__version__}")
        return 0
    if argv[0] in COMPLETION:
        return _complete(argv, stages)
    name, *words = _put_stage_first(argv, stages)
    if name not in stages:
        print(f"aura: there is no stage {name!r}; allowed are {', '.join(stages)}", file=sys.stderr)
        return 2
    stage = stages[name]
    if any(word in HELP for word in words) and "--" not in words:
        from aura.config.help import describe_stage

        print(describe_stage(stage))
        return 0
    try:
        overrides = stage.to_overrides(_add_folders(_split(words)))
        _check_sweeper(stage, overrides)
        _check_words(stage, overrides)
    except UsageError as error:
        return _refuse(f"{stage.name}: {error}", 2)
    return _run(stage, overrides, stages)


def entry_point() -> None:
    """Run the installed command ``aura``; SIGTERM ends it within five seconds."""
    # The first process of a container ignores SIGTERM unless a handler is installed.
    signal.signal(signal.SIGTERM, terminate)
    try:
        from aura.tracking.project import discard_run, work_where_called

        if folder := work_where_called():
            print(f"aura: paths are relative to {folder}, where mlflow run was called")
        code = main(sys.argv[1:])
        # Wrong words, or a stage that logs nothing, leave no run of mlflow run behind.
        discard_run()
        sys.stdout.flush()
    except BrokenPipeError:
        code = _end_output()
    except Terminated:
        code = _refuse("stopped before it began", TERMINATED)
    if code == INTERRUPTED:
        tidy_up(code)
    sys.exit(code)


def _usage(stages: Mapping[str, Stage]) -> str:
    lines = "\n".join(f"  {name:<18} {stage.help}" for name, stage in stages.items())
    return f"""usage: python -m aura STAGE [key=value ...]

stages:
{lines}

python -m aura STAGE --help explains the keys of a stage, --cfg job prints the configuration.
python -m aura --version prints the version.
Tab completion in bash: eval "$(aura -sc install=bash)"; then aura STAGE key..."""


def _put_stage_first(argv: Sequence[str], stages: Mapping[str, Stage]) -> list[str]:
    """Move options of Hydra that come before the stage, such as ``-m``, behind it."""
    first = next((number for number, word in enumerate(argv) if word in stages), 0)
    options = argv[:first] if argv[0].startswith("-") else []
    return [*argv[len(options) :], *options]


def _add_folders(words: Sequence[str]) -> list[str]:
    """Turn ``--config-dir FOLDER`` into an override, so that it holds for each configuration of a sweep too."""
    rest, folders = [], []
    iterator = iter(words)
    for word in iterator:
        option, is_set, folder = word.partition("=")
        if option not in CONFIG_DIR:
            rest.append(word)
            continue
        folder = folder if is_set else next(iterator, "")
        if not Path(folder).is_dir():
            raise UsageError(f"{option} {folder}: there is no such folder")
        folders.append(f"file://{Path(folder).resolve()}")
    if len(folders) > 1:
        raise UsageError("--config-dir names one folder")
    return [*rest, f"{SEARCH_PATH}={json.dumps(folders)}"] if folders else rest


def _split(words: list[str]) -> list[str]:
    """Split the words after ``--`` at their spaces, and turn MLflow's ``--KEY VALUE`` into ``KEY=VALUE``."""
    # MLflow puts quotes around all overrides, and its Kubernetes backend more of them; each round removes a layer.
    while "--" in words:
        at = words.index("--")
        # A -P that MLproject does not declare comes as an option; its value may hold spaces.
        rest, options = _take_options(words[at + 1 :])
        try:
            split = [part for word in rest for part in shlex.split(word)]
        except ValueError as error:
            raise UsageError(f"the overrides cannot be split into words ({error})") from error
        split, more = _take_options(split)
        words = [*words[:at], *split, *options, *more]
    return words


def _take_options(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Take each ``--KEY VALUE`` out of the words, as ``KEY=VALUE``."""
    rest, options = [], []
    iterator = iter(words)
    for word in iterator:
        if word.startswith("-") and word != "--":
            value = next(iterator, None)
            if value is None or not word.startswith("--"):
                raise UsageError(f"{word} is no parameter here; write -P KEY=VALUE, or -P overrides='key=value ...'")
            options.append(f"{word[2:]}={value}")
        else:
            rest.append(word)
    return rest, options


def _check_sweeper(stage: Stage, overrides: Sequence[str]) -> None:
    """Raise UsageError with the command to use instead of Hydra's sweeper of Optuna."""
    if any("sweeper" in word for word in overrides):
        from aura.config.sweeper import explain_sweeper

        if message := explain_sweeper(overrides[len(stage.overrides) :]):
            raise UsageError(message)


def _check_words(stage: Stage, overrides: Sequence[str]) -> None:
    """Raise UsageError for a word that is not an override."""
    # Some options of Hydra take a word after them.
    if any(word.startswith("-") for word in overrides):
        return
    for word in overrides:
        if "=" not in word and not word.startswith("~"):
            example = f"{next(iter(stage.words))}={word}" if stage.words else "dataset.root=/data/recordings"
            raise UsageError(f"{word!r} is not an override; write key=value, such as {example}")
        if "=~" in word or "='~" in word:
            raise UsageError(f"the shell does not expand the ~ of {word!r}; write $HOME")


def _run(stage: Stage, overrides: Sequence[str], stages: Mapping[str, Stage]) -> int:
    """Compose the configuration with Hydra, then run the stage."""
    from aura.core.errors import AuraError

    try:
        configs = _compose(stage, overrides, stages)
    except UsageError as error:
        return _refuse(f"{stage.name}: {error}", 2)
    try:
        stage.run_jobs(configs)
    except BrokenPipeError:
        return _end_output()
    except (AuraError, OSError) as error:
        # A full disk or a folder that cannot be written names itself; finished work is kept.
        return _refuse("; ".join([f"{stage.name}: {error}", *getattr(error, "__notes__", ())]), 1)
    except KeyboardInterrupt as error:
        code = TERMINATED if isinstance(error, Terminated) else INTERRUPTED
        return _refuse(f"{stage.name}: stopped; run it again to go on where it was", code)
    return 0


def _compose(stage: Stage, overrides: Sequence[str], stages: Mapping[str, Stage]) -> list["Config"]:
    """Return the checked configuration of each run; none if Hydra only printed something, as with --cfg."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from aura.config.compose import compose
    from aura.config.messages import explain_error
    from aura.core.errors import AuraError

    # Without this variable Hydra prints its errors over several lines instead of raising them.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        if any(word.startswith(("-", "hydra")) and not word.startswith(SEARCH_PATH) for word in overrides):
            configs = _compose_with_options(stage, overrides)
        else:
            # Hydra's own command line would compose the configuration twice, to look for a sweep.
            configs = [compose(overrides)]
        if not stage.is_partitionable and any(config.partition is not None for config in configs):
            allowed = " and ".join(name for name, other in stages.items() if other.is_partitionable)
            raise AuraError(f"partition is for {allowed} alone")
    except (HydraException, OmegaConfBaseException, AuraError, ValueError) as error:
        message = explain_error(error)
        words = ", ".join([*stage.words, *stage.knobs])
        shorthand = f"; also {words}" if words and "there is no key" in message else ""
        raise UsageError(f"{message}{shorthand}") from error
    return configs


def _compose_with_options(stage: Stage, overrides: Sequence[str]) -> list["Config"]:
    """Have Hydra follow its own options, such as ``-m`` and ``--cfg``, and return the configuration of each run."""
    from hydra.core.hydra_config import HydraConfig

    from aura.config.compose import check_config

    # Hydra's own command line accepts its options and the overrides in blocks only.
    folders = [word for word in overrides if word.startswith(SEARCH_PATH)]
    named = [
        option
        for word in folders
        for option in ("--config-dir", json.loads(word.partition("=")[2])[0].removeprefix("file://"))
    ]
    composed: list[tuple[DictConfig, list[str], Mapping[str, str | None]]] = []
    _call_hydra(
        [f"python -m aura {stage.name}", *named, *(word for word in overrides if word not in folders)],
        lambda values: composed.append(
            (values, [*HydraConfig.get().overrides.task, *folders], HydraConfig.get().runtime.choices)
        ),
    )
    return [check_config(*values) for values in composed]


def _complete(argv: Sequence[str], stages: Mapping[str, Stage]) -> int:
    """Complete the name of a stage and its shorthand here; Hydra completes the rest."""
    words = os.environ.get("COMP_LINE", "").split(" ")
    if "query=bash" in argv and len(words) <= 2:
        print(" ".join(stages))
        return 0
    if "query=bash" in argv and words[1] in stages:
        print(*(f"{word}=" for word in stages[words[1]].words if word.startswith(words[-1])))
    os.environ["COMP_LINE"] = " ".join([words[0], *words[2:]])
    _call_hydra(["aura", *argv], lambda _: None)
    return 0


def _call_hydra(argv: list[str], task: Callable[[Any], None]) -> None:
    """Have Hydra read ``argv`` and call a function with each configuration."""
    import hydra

    from aura.core.paths import CONF

    sys.argv = argv
    hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(task)()


def _end_output() -> int:
    """Write no more to a reader that has closed the output, as `head` does."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141


def _refuse(message: str, code: int) -> int:
    print(f"aura {message}", file=sys.stderr)
    return code
