"""What the DAG of deploy/airflow asks Aura for. Airflow itself is in an environment of its own: make test-airflow."""

import ast
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from aura import cli as command_line
from aura.config.schema import Config
from aura.config.stage import Stage
from aura.core.paths import PROJECT
from aura.tracking.registry import CANDIDATE
from tests.support.registry import make_evaluation, register_version

pytestmark = pytest.mark.integration

DAG = PROJECT / "deploy" / "airflow" / "dags" / "aura.py"
REGISTERED = "x version 3 is the challenger: it is not better"
ORDER = [*["prepare"] * 3, *["featurize"] * 3, "train", "import"]


class FailError(Exception):
    """No use to try again."""


class SkipError(Exception):
    """Not done, for a reason."""


class Task:
    """A stand-in for a task, which runs where it is called."""

    params: dict[str, Any]

    def __init__(self, function: Callable[..., Any], **known: Any) -> None:
        self.function, self.known = function, known

    def override(self, **_: Any) -> "Task":
        return self

    def partial(self, **known: Any) -> "Task":
        return Task(self.function, **known)

    def expand(self, share: list[str]) -> list[Any]:
        return [self(share=one) for one in share]

    def __call__(self, *values: Any, **known: Any) -> Any:
        return self.function(*values, **self.known, **known, params=Task.params)


def task(function: Callable[..., Any] | None = None, **_: Any) -> Any:
    return Task if function is None else Task(function)


@pytest.fixture
def dag(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The file of the DAG, with as much of Airflow as runs its tasks one after the other."""
    sdk, exceptions, module = ModuleType("airflow.sdk"), ModuleType("airflow.sdk.exceptions"), ModuleType("dag")
    vars(sdk).update(Param=lambda value, **_: value, chain=lambda *_: None, dag=lambda **_: lambda f: f, task=task)
    vars(exceptions).update(AirflowException=Exception, AirflowFailException=FailError, AirflowSkipException=SkipError)
    for name, one in (("airflow", ModuleType("airflow")), ("airflow.sdk", sdk), ("airflow.sdk.exceptions", exceptions)):
        monkeypatch.setitem(sys.modules, name, one)
    tree = ast.parse(DAG.read_text())
    # Not yet the last line, which puts the tasks in a row.
    assert ast.unparse(tree.body.pop()) == "aura()"
    exec(compile(tree, DAG, "exec"), vars(module))
    return module


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Config]]:
    """What stages are asked for, which do nothing."""
    seen: list[tuple[str, Config]] = []

    monkeypatch.setattr(Stage, "run", lambda stage, config: seen.append((stage.name, config)))
    return seen


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What Airflow's workers have to know."""
    for name, value in (("PYTHON", sys.executable), ("WORKSPACE", str(tmp_path)), ("DATA", "/data"), ("DATABASE", "x")):
        monkeypatch.setenv(f"AURA_{name}", value)


@pytest.mark.usefixtures("worker")
def test_each_task_passes_overrides_that_its_stage_accepts(
    dag: ModuleType, asked: list[tuple[str, Config]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(stage: str, *own: str, params: dict[str, Any], without: str | None = None) -> list[str]:
        argv = dag.command(stage, own, params, without)
        monkeypatch.setenv("AURA_DATA", dag.environment(params)["AURA_DATA"])
        assert argv[:4] == [sys.executable, "-P", "-m", "aura"]
        assert command_line.main(argv[4:]) == 0
        return ["x version 3 is the champion: there was none"]

    monkeypatch.setattr(dag, "run", said)
    words = "model=lightgbm model.num_leaves=9 compute=processes compute.workers=2 partition=7/9 'labels.postictal_s=9'"
    odd = "/data/it's, (ours) = ${mine}"
    monkeypatch.setattr(
        Task, "params", {**dag.PARAMS, "name": "ours", "root": odd, "words": words, "shares": 2}, raising=False
    )
    dag.aura()

    by_stage = sorted(asked, key=lambda one: list(dict.fromkeys(ORDER)).index(one[0]))
    assert [stage for stage, _ in by_stage] == ORDER
    configs = [config for _, config in by_stage]
    assert {(one.dataset.root, one.dataset.name, one.labels["postictal_s"]) for one in configs} == {(odd, "ours", 9)}
    assert [one.partition for one in configs] == [*["0/2", "1/2", None] * 2, None, None]
    shared = [one.compute["_target_"] == "aura.execution.executors.Serial" for one in configs]
    assert shared == [one.partition is not None for one in configs]
    train, into = configs[-2:]
    assert (train.model["num_leaves"], train.tracking.model_name) == (9, "aura-seizure-detector-ours")
    assert into.database.model == "models:/aura-seizure-detector-ours@champion"

    # A name in the form wins.
    monkeypatch.setitem(Task.params, "model_name", "mine")
    asked.clear()
    dag.aura()
    train, into = (next(config for stage, config in asked if stage == name) for name in ("train", "import"))
    assert (train.tracking.model_name, into.database.model) == ("mine", "models:/mine@champion")
    monkeypatch.setitem(Task.params, "model_name", "")

    # Without promotion, the model is registered under another name.
    monkeypatch.setitem(Task.params, "promote", False)
    asked.clear()
    with pytest.raises(SkipError, match=r"promotion is switched off; x version 3 is the champion"):
        dag.aura()
    (config,) = [config for stage, config in asked if stage == "train"]
    assert config.tracking.model_name == f"aura-seizure-detector-ours{CANDIDATE}"


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("", "aura-seizure-detector-any"),
        ("dataset.name=clinic", "aura-seizure-detector-clinic"),
        ("labels=forecasting dataset.name=clinic", "aura-seizure-forecaster-clinic"),
        ("tracking.model_name=own", "own"),
    ],
)
def test_without_a_name_in_the_form_the_model_is_named_by_the_configuration(
    words: str, name: str, dag: ModuleType, asked: list[tuple[str, Config]]
) -> None:
    params = {**dag.PARAMS, "words": words}
    argv = dag.command("train", dag.name_model(params), params, None)
    assert command_line.main(argv[4:]) == 0
    champion = "model=models:/${tracking.model_name}@champion"
    argv = dag.command("import", [*dag.name_model(params), champion], params, "model")
    assert command_line.main(argv[4:]) == 0
    (_, train), (_, into) = asked
    assert (train.tracking.model_name, into.database.model) == (name, f"models:/{name}@champion")


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(("word", "sentence"), [("--help", "--help is no parameter here"), ("=1", "aura train: ")])
def test_a_form_value_that_is_no_override_is_refused(
    word: str, sentence: str, dag: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """--help would end with 0, and nothing done."""
    argv = dag.command("train", [], {**dag.PARAMS, "words": word}, None)
    assert command_line.main(argv[4:]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("variable", "sentence"),
    [
        ("AURA_PYTHON", r"^AURA_PYTHON has to be an absolute path, and is 'here'"),
        ("AURA_WORKSPACE", r"^AURA_WORKSPACE has to be"),
        ("AURA_DATA", r"^AURA_DATA or the parameter root has to be"),
    ],
)
def test_a_wrong_setting_of_the_worker_fails_without_a_retry(
    variable: str, sentence: str, dag: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "here")
    with pytest.raises(FailError, match=sentence):
        dag.run("train", params=dag.PARAMS)


@pytest.mark.usefixtures("worker")
def test_overrides_that_cannot_be_split_fail_without_a_retry(dag: ModuleType) -> None:
    with pytest.raises(FailError, match="the parameter words cannot be split into words: No closing quotation"):
        dag.run("train", params={**dag.PARAMS, "words": "'"})


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("script", "error", "sentence"),
    [
        ("exit 2", FailError, "ended with exit code 2: no output"),
        ("echo out; echo err >&2; exit 1", Exception, "ended with exit code 1: err"),
        ("echo 'half a line'; kill -9 $$", Exception, "was killed by signal 9: half a line"),
        # A version is registered before pictures are made: another try would register one more.
        (f"echo '{REGISTERED}'; seq 200; echo full >&2; exit 1", FailError, "ended with exit code 1: full"),
        (f"echo '{REGISTERED}'; kill -9 $$", FailError, f"was killed by signal 9: {REGISTERED}"),
    ],
)
def test_the_exit_of_a_stage_decides_whether_it_is_retried(
    script: str,
    error: type[Exception],
    sentence: str,
    dag: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logged = list[str]()
    monkeypatch.setattr(dag, "log", SimpleNamespace(info=lambda form, *values: logged.append(form % values)))
    monkeypatch.setattr(dag, "command", lambda *_: ["sh", "-c", script])
    with pytest.raises(Exception, match=f"^aura train {sentence}$") as caught:
        dag.run("train", params=dag.PARAMS)
    assert caught.type is error
    numbers = [str(number) for number in range(1, 201)] if "seq" in script else []
    spoken = [line for line in ("out", "err", "half a line", REGISTERED) if line in script]
    assert logged[1:] == [*spoken, *numbers, *(["full"] if numbers else [])]


@pytest.mark.usefixtures("worker")
def test_a_stage_gets_no_setting_of_airflow(dag: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its settings hold passwords, and its PYTHONPATH other versions of what Aura needs."""
    for name in ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW_HOME", "_AIRFLOW_X", "PYTHONPATH", "PYTHONHOME"):
        monkeypatch.setenv(name, "secret")
    env = dag.environment(dag.PARAMS)
    assert "secret" not in env.values()
    assert shlex.split(env["AURA_DATA"]) == ["/data"]


def test_the_gate_passes_only_a_promoted_version(dag: ModuleType, tracking_uri: str) -> None:
    first = register_version("airflow", make_evaluation(list(range(8))))
    worse = register_version("airflow", make_evaluation([]))
    Task.params = dag.PARAMS
    dag.promotion(first)
    for outcome in (worse, "nothing is registered: each model is for one subject"):
        with pytest.raises(SkipError, match=r"^not promoted; ") as skipped:
            dag.promotion(outcome)
        assert str(skipped.value).endswith(outcome)
