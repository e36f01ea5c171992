"""Real stages and detectors, as the Prometheus, push gateway and node exporter of Debian see them."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import mlflow
import pandas as pd
import pytest
import yaml

from aura.cli import main
from aura.core.errors import AuraError
from aura.core.parquet import read_table
from aura.core.paths import PROJECT
from aura.demo import post, serve_model
from aura.execution import telemetry
from aura.execution.executors import Serial
from aura.execution.pushgateway import is_outdated
from aura.execution.run_all import run_all
from aura.execution.telemetry import usage
from aura.serving.metrics import Meters
from tests.support.project import Project

pytestmark = pytest.mark.integration

MODEL = "models:/aura-seizure-detector-synthetic@champion"
DEPLOY = PROJECT / "deploy" / "prometheus"
PROGRAMS = ("prometheus", "promtool", "prometheus-pushgateway", "prometheus-node-exporter")
NEED_THEM = pytest.mark.skipif(
    any(shutil.which(program) is None for program in PROGRAMS),
    reason="apt-get install prometheus prometheus-pushgateway prometheus-node-exporter",
)
WITHIN_S = 20


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def ask(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        text: str = answer.read().decode()
        return text


def until(found: Callable[[], Any], what: str) -> Any:
    """Wait for what comes with the next scrape."""
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        value = found()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"{what} did not come within {WITHIN_S} s")


@contextmanager
def running(*command: str, ready: str) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers() -> bool:
        assert process.poll() is None, f"{command[0]} has ended"
        try:
            return bool(ask(ready))
        except OSError:
            return False

    try:
        until(answers, command[0])
        yield
    finally:
        process.terminate()
        process.wait()


class Prometheus:
    """Where it is, where its gateway is, and the ports at which it looks for detectors."""

    def __init__(self) -> None:
        self.port, self.gateway_port, self.node_port, self.serve_port, self.live_port = (free_port() for _ in range(5))
        self.gateway = f"http://127.0.0.1:{self.gateway_port}"

    def config(self) -> dict[str, Any]:
        """That of the project, with other addresses, and asking each half second."""
        config: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
        config["rule_files"] = [str(DEPLOY / "rules" / "*.yml")]
        ports = {
            "pushgateway": self.gateway_port,
            "node": self.node_port,
            "prometheus": self.port,
            "aura_serve": self.serve_port,
            "aura_live": self.live_port,
        }
        for scrape in config["scrape_configs"]:
            scrape.pop("dns_sd_configs", None)
            scrape["static_configs"] = [{"targets": [f"127.0.0.1:{ports.pop(scrape['job_name'])}"]}]
        assert not ports
        return config

    def query(self, promql: str) -> list[tuple[dict[str, str], float]]:
        answer = json.loads(ask(f"http://127.0.0.1:{self.port}/api/v1/query?{urlencode({'query': promql})}"))
        assert answer["status"] == "success"
        if answer["data"]["resultType"] == "scalar":
            return [({}, float(answer["data"]["result"][1]))]
        return [(one["metric"], float(one["value"][1])) for one in answer["data"]["result"]]

    def series(self, promql: str) -> Callable[[], list[tuple[dict[str, str], float]]]:
        return lambda: self.query(promql)

    def alerts(self) -> set[tuple[str, str]]:
        """Those that fire, with their stage or job."""
        found = json.loads(ask(f"http://127.0.0.1:{self.port}/api/v1/alerts"))["data"]["alerts"]
        firing = [one["labels"] for one in found if one["state"] == "firing"]
        return {(labels["alertname"], labels.get("stage", labels.get("job", ""))) for labels in firing}


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    one, folder = Prometheus(), tmp_path_factory.mktemp("prometheus")
    (folder / "prometheus.yml").write_text(yaml.safe_dump(one.config()))
    with ExitStack() as opened:
        listen = "--web.listen-address=127.0.0.1"
        opened.enter_context(
            running(
                "prometheus-pushgateway",
                "--web.enable-admin-api",
                f"{listen}:{one.gateway_port}",
                ready=f"{one.gateway}/-/ready",
            )
        )
        opened.enter_context(
            running("prometheus-node-exporter", f"{listen}:{one.node_port}", ready=f"http://127.0.0.1:{one.node_port}/")
        )
        opened.enter_context(
            running(
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"{listen}:{one.port}",
                ready=f"http://127.0.0.1:{one.port}/-/ready",
            )
        )
        yield one


@pytest.fixture
def gateway(prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch) -> Prometheus:
    """An empty one, to which stages push."""
    monkeypatch.setenv("AURA_PUSHGATEWAY", prometheus.gateway)
    wipe = urllib.request.Request(f"{prometheus.gateway}/api/v1/admin/wipe", method="PUT")
    with urllib.request.urlopen(wipe, timeout=5) as answer:
        assert answer.status == 202
    # What the test before pushed is in Prometheus until it scrapes and evaluates again.
    pushed = '{__name__=~"aura_stage_.*|stage:aura_.*"}'
    until(lambda: not prometheus.query(pushed), "the end of the former series")
    return prometheus


def groups(prometheus: Prometheus) -> list[dict[str, str]]:
    return [one["labels"] for one in json.loads(ask(f"{prometheus.gateway}/api/v1/metrics"))["data"]]


def states(prometheus: Prometheus) -> set[tuple[str, str]]:
    return {(one["job"], one["state"]) for one in groups(prometheus)}


def await_states(prometheus: Prometheus, expected: set[tuple[str, str]]) -> None:
    """The gateway answers a deletion before it deletes."""
    until(lambda: states(prometheus) == expected, f"the states {expected}")


def damaged(project: Project, tmp_path: Path) -> Project:
    """The small corpus with two recordings that cannot be used, for different reasons."""
    root = tmp_path / "damaged"
    shutil.copytree(project.corpus, root)
    edfs = sorted(root.rglob("*.edf"))
    edfs[0].write_bytes(b"0" * 100)
    edfs[1].write_bytes(edfs[1].read_bytes().replace(b"EEG EKG", b"EEG FP9", 1))
    return replace(project, corpus=root)


@NEED_THEM
def test_prometheus_has_the_outcome_of_every_recording(
    gateway: Prometheus, project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = damaged(project, tmp_path)
    # Featurize runs prepare, which pushes as well.
    assert project.run("featurize") == 0
    assert "AURA_PUSHGATEWAY" not in capsys.readouterr().err
    until(gateway.series('aura_stage_end_timestamp_seconds{stage="featurize"}'), "featurize")
    for stage, folder in (("prepare", project.folder("prepared")), ("featurize", project.folder("features"))):
        recordings, _ = read_table(folder / "recordings.parquet")
        failures, _ = read_table(folder / "failures.parquet")
        expected = {("done", ""): float(len(recordings))}
        expected |= {("failed", reason): float(n) for reason, n in failures["reason"].value_counts().items()}
        found = gateway.query(f'aura_stage_recordings{{job="aura_{stage}",state="succeeded",dataset="synthetic"}}')
        assert {(one["outcome"], one.get("reason", "")): n for one, n in found} == expected
        ((_, recorded_s),) = gateway.query(f'aura_stage_recorded_seconds{{stage="{stage}"}}')
        assert recorded_s == pytest.approx(recordings["duration_s"].sum())
    failures, _ = read_table(project.folder("prepared") / "failures.parquet")
    assert len(set(failures["reason"])) == 2
    recordings, _ = read_table(project.folder("features") / "recordings.parquet")
    assert gateway.query("aura_stage_windows")[0][1] == recordings["n_windows"].sum()
    # 2 of 12 are more than a tenth.
    until(lambda: ("AuraRecordingsFailing", "prepare") in gateway.alerts(), "the alert")
    assert ("AuraRecordingsFailing", "featurize") not in gateway.alerts()
    await_states(gateway, {("aura_prepare", "succeeded"), ("aura_featurize", "succeeded")})
    duration_s = {one["stage"]: value for one, value in gateway.query("aura_stage_duration_seconds")}
    assert 0 < duration_s["prepare"] < duration_s["featurize"] < 60
    assert all(value > 1e8 for _, value in gateway.query("aura_stage_memory_peak_bytes"))


@NEED_THEM
def test_a_failed_stage_raises_an_alert_until_it_succeeds(
    gateway: Prometheus, project: Project, tmp_path: Path
) -> None:
    moved = replace(project, corpus=tmp_path / "moved")
    assert project.run("prepare") == 0
    ((_, succeeded_s),) = until(gateway.series("stage:aura_last_success_timestamp_seconds:max"), "the success")
    assert moved.run("prepare") == 1
    ((labels, _),) = until(gateway.series("aura_stage_failure_info"), "the failure")
    assert (labels["stage"], labels["error"], labels["state"]) == ("prepare", "AuraError", "failed")
    until(lambda: ("AuraStageFailed", "prepare") in gateway.alerts(), "the alert")
    # What was is still known.
    assert [n for _, n in gateway.query("stage:aura_last_success_timestamp_seconds:max")] == [succeeded_s]
    assert [n for _, n in gateway.query('aura_stage_recordings{state="succeeded"}')] == [12]
    assert not gateway.query('aura_stage_recordings{state="failed"}')
    assert project.run("prepare") == 0
    until(lambda: not gateway.query("aura_stage_failure_info"), "the end of the failure")
    until(lambda: ("AuraStageFailed", "prepare") not in gateway.alerts(), "the end of the alert")
    newer = f"stage:aura_last_success_timestamp_seconds:max > {succeeded_s!r}"
    until(gateway.series(newer), "the newer success")


@NEED_THEM
def test_shares_do_not_overwrite_each_other(gateway: Prometheus, project: Project) -> None:
    for share in ("0/2", "1/2"):
        assert project.run("prepare", f"partition={share}") == 0
    assert project.run("prepare") == 0
    found = until(gateway.series('aura_stage_recordings{stage="prepare",partition=""}'), "the whole")
    assert [n for _, n in found] == [12]
    shares = gateway.query('aura_stage_recordings{stage="prepare",partition!=""}')
    assert sorted((one["partition"], n) for one, n in shares) == [("0/2", 6), ("1/2", 6)]


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1", "http://me:secret@127.0.0.1:1", "no address at all", "ftp://x"]
)
def test_a_missing_gateway_gives_one_warning(
    address: str, project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AURA_PUSHGATEWAY", address)
    monkeypatch.setattr(telemetry, "PUSH_EVERY_S", 0.0)
    assert project.run("prepare") == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "AURA_PUSHGATEWAY" in line]
    assert len(said) == 1
    assert said[0].endswith("the stage continues")
    assert "secret" not in said[0]


@NEED_THEM
def test_another_server_in_place_of_the_gateway_gives_one_warning(
    prometheus: Prometheus, project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It answers, as whoever listens at a mistaken port does."""
    monkeypatch.setenv("AURA_PUSHGATEWAY", f"http://127.0.0.1:{prometheus.node_port}")
    assert project.run("prepare") == 0
    monkeypatch.setenv("AURA_PUSHGATEWAY", f"http://127.0.0.1:{prometheus.port}")
    assert project.run("prepare") == 0
    assert capsys.readouterr().err.count("the stage continues") == 2


@NEED_THEM
def test_the_queue_of_a_running_stage_is_visible(gateway: Prometheus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "PUSH_EVERY_S", 0.0)
    monkeypatch.setattr(telemetry, "SAMPLE_EVERY_S", 0.05)
    seen = []

    def work(item: int) -> int:
        waiting = 5 - item
        until(lambda: gateway.query("aura_stage_items_waiting") == [(labels, waiting)], f"{waiting} waiting")
        seen.append(states(gateway))
        return item

    host = f"{socket.gethostname()}:{os.getpid()}"
    labels = {"__name__": "aura_stage_items_waiting", "job": "aura_prepare", "stage": "prepare", "dataset": "synthetic"}
    labels |= {"instance": host, "state": "running"}

    with telemetry.watch("prepare", dataset="synthetic"):
        run_all(range(5), work, compute=Serial(), title="prepare", on_death=int)
    assert seen == [{("aura_prepare", "running")}] * 5
    await_states(gateway, {("aura_prepare", "succeeded")})
    until(lambda: not gateway.query("aura_stage_items_waiting"), "the end of the queue")


@NEED_THEM
def test_a_stage_ended_by_sigterm_has_not_failed(gateway: Prometheus) -> None:
    with pytest.raises(KeyboardInterrupt), telemetry.watch("train", dataset="synthetic"):
        raise KeyboardInterrupt
    await_states(gateway, {("aura_train", "stopped")})


OWN = {"job": "aura_prepare", "dataset": "a", "instance": "here", "state": "succeeded"}


@pytest.mark.parametrize(
    ("other", "pushed_s", "own", "outdated"),
    [
        ({}, 200, {}, False),
        ({"state": "running"}, 200, {}, True),
        ({"state": "failed"}, 50, {}, True),
        ({"state": "failed"}, 50, {"state": "failed"}, False),
        ({"state": "stopped"}, 50, {"state": "failed"}, True),
        # The last success stands until the next.
        ({}, 50, {"state": "failed"}, False),
        ({"instance": "there"}, 50, {}, True),
        ({"instance": "there"}, 50, {"state": "failed"}, False),
        ({"instance": "there", "state": "failed"}, 50, {}, True),
        # At work at the same time.
        ({"instance": "there", "state": "running"}, 150, {}, False),
        ({"instance": "there"}, 150, {}, False),
        # The whole makes a share good, and keeps what it has cost.
        ({"instance": "there", "partition": "0/4", "state": "failed"}, 50, {}, True),
        ({"instance": "there", "partition": "0/4"}, 50, {}, False),
        ({"instance": "there", "partition": "0/4", "state": "failed"}, 50, {"state": "failed"}, False),
        ({"instance": "there", "partition": "0/4", "state": "failed"}, 50, {"partition": "1/4"}, False),
        ({"instance": "there", "state": "failed"}, 50, {"partition": "1/4"}, False),
        ({"job": "aura_train", "state": "failed"}, 50, {}, False),
        ({"dataset": "b", "state": "failed"}, 50, {}, False),
    ],
)
def test_the_end_of_a_stage_makes_some_groups_outdated(
    other: dict[str, str], pushed_s: float, own: dict[str, str], outdated: bool
) -> None:
    assert is_outdated(OWN | other, pushed_s, OWN | own, began_s=100) == outdated


def test_finished_children_count() -> None:
    before = usage()
    work = "x = bytearray(10**7); open('/dev/null', 'wb').write(x); sum(range(6 * 10**6))"
    subprocess.run([sys.executable, "-c", work], check=True)
    with subprocess.Popen([sys.executable, "-c", "x = b'1' * 3 * 10**8; input()"], stdin=subprocess.PIPE) as child:
        until(lambda: usage().memory_bytes > before.memory_bytes + 2.9e8, "the memory of a child")
        assert child.stdin is not None
        child.stdin.close()
    after = usage()
    assert after.cpu_s - before.cpu_s > 0.1
    assert after.memory_bytes < before.memory_bytes + 2e8
    assert after.read_bytes is not None
    assert before.read_bytes is not None
    assert after.read_bytes >= before.read_bytes


@pytest.fixture(scope="module")
def serving(prometheus: Prometheus, trained: Project) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AURA_METRICS_PORT", f"127.0.0.1:{prometheus.serve_port}")
        with serve_model(MODEL) as url:
            yield url


def total(prometheus: Prometheus, promql: str) -> dict[tuple[str, ...], float]:
    """Values by their labels, but for those that all have."""
    return {
        tuple(value for name, value in sorted(labels.items()) if name not in ("__name__", "job", "instance")): n
        for labels, n in prometheus.query(promql)
    }


@NEED_THEM
def test_the_served_model_counts_its_answers(serving: str, prometheus: Prometheus) -> None:
    before_s = time.perf_counter()
    beats = {"t_s": [float(t) for t in (*range(1, 61), *range(401, 461))], "rr_ms": [1000.0] * 120}
    windows = []
    for step_s in (None, 8, None):
        params = {} if step_s is None else {"params": {"step_s": step_s}}
        status, answer = post(serving, {"inputs": beats, **params})
        assert status == 200
        windows += answer["predictions"]
    for bad in ({"t_s": [2.0, 1.0], "rr_ms": [800.0, 800.0]}, {"t_s": [1.0], "rr_ms": [-1.0]}):
        assert post(serving, {"inputs": bad})[0] == 400
    assert post(serving, {"inputs": beats, "params": {"step_s": 5}})[0] == 400
    # MLflow's own parser refuses this before any code of ours.
    assert post(serving, {"inputs": {"t_s": [1.0]}})[0] == 400
    took_s = time.perf_counter() - before_s
    expected = {("answered",): 3.0, ("refused", "no_rr_series"): 2.0, ("refused", "bad_step"): 1.0}
    job = 'job="aura_serve"'
    until(lambda: total(prometheus, f"aura_requests_total{{{job}}}") == expected, "the requests")
    reasons = pd.Series([window.get("reason") for window in windows]).value_counts()
    assert total(prometheus, f"aura_windows_without_probability_total{{{job}}}") == {
        ("no_beats",): reasons["no beats in the window"],
        ("too_few_beats",): reasons["too few valid beats in the window"],
    }
    assert total(prometheus, f"aura_windows_total{{{job}}}") == {(): len(windows)}
    # 115 windows of 4 s twice, and 57 of 8 s.
    ((_, recorded_s),) = prometheus.query(f"aura_recorded_seconds_total{{{job}}}")
    assert recorded_s == 2 * 115 * 4 + 57 * 8
    assert total(prometheus, f"aura_request_duration_seconds_count{{{job}}}") == {(): 3}
    ((_, sum_s),) = prometheus.query(f"aura_request_duration_seconds_sum{{{job}}}")
    assert 0 < sum_s < took_s
    ((about, _),) = prometheus.query(f"aura_model_info{{{job}}}")
    version = mlflow.MlflowClient().get_model_version_by_alias("aura-seizure-detector-synthetic", "champion")
    assert (about["model"], about["version"], about["run_id"]) == (version.name, str(version.version), version.run_id)
    assert prometheus.query(f"process_resident_memory_bytes{{{job}}}")[0][1] > 1e8


@pytest.fixture(scope="module")
def anxious(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The detector, made so that it raises alarms."""
    folder = Path(mlflow.artifacts.download_artifacts(MODEL, dst_path=str(tmp_path_factory.mktemp("model"))))
    (file,) = folder.glob("data/*/detector.json")
    values = json.loads(file.read_text())
    values["threshold"], values["alarms"]["refractory_s"] = 0.1, 20
    file.write_text(json.dumps(values))
    return folder


@NEED_THEM
def test_live_counts_its_output(
    anxious: Path, trained: Project, prometheus: Prometheus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AURA_METRICS_PORT", f"127.0.0.1:{prometheus.live_port}")
    file = max((trained.folder("prepared") / "rr").glob("*.parquet"), key=lambda one: n_found(anxious, one))
    beats = read_table(file)[0][["t_s", "rr_ms"]]
    text = "".join(json.dumps(beat) + "\n" for beat in [*beats.to_dict("records"), {"t_s": "now"}])
    with (
        (tmp_path / "said").open("w") as said,
        subprocess.Popen(
            [sys.executable, "-m", "aura", "live", f"model={anxious}"], stdin=subprocess.PIPE, stdout=said, text=True
        ) as live,
    ):
        assert live.stdin is not None
        live.stdin.write(text)
        live.stdin.flush()
        job = 'job="aura_live"'
        expected = {("answered",): float(len(beats)), ("refused", "bad_line"): 1.0}
        until(lambda: total(prometheus, f"aura_requests_total{{{job}}}") == expected, "the lines")
        numbers = {
            name: prometheus.query(f"aura_{name}_total{{{job}}}")[0][1]
            for name in ("windows", "alarms", "recorded_seconds")
        }
        without = prometheus.query(f"sum(aura_windows_without_probability_total{{{job}}})")[0][1]
        ((about, _),) = prometheus.query(f"aura_model_info{{{job}}}")
        live.stdin.close()
    lines = [json.loads(line) for line in (tmp_path / "said").read_text().splitlines()]
    # The last one is given when no other beat can come.
    steps = [line for line in lines if line["kind"] == "step"]
    n_last = len(steps) - int(numbers["windows"])
    assert 0 <= n_last <= 1
    assert without == sum(line["probability"] is None for line in steps) > 0
    assert numbers["alarms"] == sum(line["kind"] == "alarm" for line in lines) > 0
    assert numbers["recorded_seconds"] == 4 * numbers["windows"]
    # Not where it is on this machine.
    assert about["model"] == "a folder, which says it is aura-seizure-detector-synthetic version 1"


def n_found(folder: Path, rr: Path) -> int:
    answer = mlflow.pyfunc.load_model(str(folder)).predict(read_table(rr)[0])
    return int((answer["probability"] > 0.3).sum())


# Two workers of a server answer some requests. A file of its own, since workers begin with reading it again.
SERVER = """
import multiprocessing, sys, time
from aura.serving.metrics import Meters

def work(n, answered):
    meters = Meters({"model": "m"})
    for _ in range(n):
        with meters.request():
            pass
    answered.put(n)
    time.sleep(60)

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    answered = context.Queue()
    workers = [context.Process(target=work, args=(n, answered), daemon=True) for n in (3, 4)]
    for worker in workers:
        worker.start()
    print(sorted(answered.get(timeout=60) for _ in workers), flush=True)
    sys.stdin.read()
"""


def test_one_port_serves_the_metrics_of_all_workers(tmp_path: Path) -> None:
    port, server = free_port(), tmp_path / "server.py"
    server.write_text(SERVER, encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": str(PROJECT), "TMPDIR": str(tmp_path), "AURA_METRICS_PORT": f"127.0.0.1:{port}"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, server], env=env, text=True, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "[3, 4]\n"
        text = ask(f"http://127.0.0.1:{port}/metrics")
        _, said = process.communicate()
    assert process.returncode == 0, said
    assert re.search(r'^aura_requests_total{outcome="answered",reason=""} 7.0$', text, re.MULTILINE)
    assert text.count("aura_model_info{") == 1
    assert said.count("if another worker of this server has the port, it reports for all") == 1


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("9101", ("127.0.0.1", 9101)),
        (":9101", ("127.0.0.1", 9101)),
        ("0.0.0.0:9101", ("0.0.0.0", 9101)),
        ("10.0.0.7:9101", ("10.0.0.7", 9101)),
    ],
)
def test_metrics_are_served_to_this_machine_unless_a_host_is_given(
    value: str, address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []
    monkeypatch.setattr("prometheus_client.start_http_server", lambda port, addr, registry: given.append((addr, port)))
    monkeypatch.setenv("AURA_METRICS_PORT", value)
    Meters({})
    assert given == [address]


@NEED_THEM
def test_a_taken_port_gives_a_warning_and_an_invalid_one_is_refused(
    prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AURA_METRICS_PORT", f"127.0.0.1:{prometheus.port}")
    Meters({})
    assert (
        f"aura: no metrics at AURA_METRICS_PORT={prometheus.port}: Address already in use\n" in capsys.readouterr().err
    )
    for bad in ("soon", "70000", "127.0.0.1:", "-1"):
        monkeypatch.setenv("AURA_METRICS_PORT", bad)
        with pytest.raises(AuraError, match="allowed is a port such as 9101"):
            Meters({})


@NEED_THEM
def test_alarms_of_detect_are_pushed(gateway: Prometheus, trained: Project, anxious: Path, tmp_path: Path) -> None:
    edf = next(trained.corpus.rglob("*.edf"))
    words = [f"edf={edf}", f"model={anxious}", f"output={tmp_path}", f"workspace={tmp_path / 'w'}", "compute=serial"]
    assert main(["detect", *words]) == 0
    detections, _ = read_table(tmp_path / "detections.parquet")
    found = until(gateway.series("aura_stage_alarms"), "the alarms")
    assert [(one["stage"], one.get("dataset"), n) for one, n in found] == [
        ("detect", None, detections["seizures"].sum())
    ]


@NEED_THEM
def test_metrics_are_named_as_prometheus_wants_them(gateway: Prometheus, serving: str, project: Project) -> None:
    assert project.run("prepare") == 0
    for url in (f"{gateway.gateway}/metrics", f"http://127.0.0.1:{gateway.serve_port}/metrics"):
        ours = "".join(f"{line}\n" for line in ask(url).splitlines() if re.match("(# (HELP|TYPE) )?aura_", line))
        assert ours
        done = subprocess.run(["promtool", "check", "metrics"], input=ours, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout


@NEED_THEM
def test_each_alert_fires_when_it_should_and_only_then() -> None:
    tests = [str(path) for path in sorted((DEPLOY / "tests").glob("*.yml"))]
    for command in (["check", "config", str(DEPLOY / "prometheus.yml")], ["test", "rules", *tests]):
        done = subprocess.run(["promtool", *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout
    rules = yaml.safe_load((DEPLOY / "rules" / "alerting.yml").read_text())["groups"]
    cases = [
        case
        for path in tests
        for one in yaml.safe_load(Path(path).read_text())["tests"]
        for case in one["alert_rule_test"]
    ]
    for rule in (rule for group in rules for rule in group["rules"]):
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}
        assert {bool(case["exp_alerts"]) for case in cases if case["alertname"] == rule["alert"]} == {True, False}, rule


BOARD = json.loads((PROJECT / "deploy" / "grafana" / "dashboards" / "operations.json").read_text())


@NEED_THEM
def test_every_query_of_the_dashboard_is_answered(
    gateway: Prometheus, serving: str, project: Project, tmp_path: Path
) -> None:
    """With a stage that has succeeded, one that failed and one at work, and a served model."""
    assert damaged(project, tmp_path).run("featurize") == 0
    assert replace(project, corpus=tmp_path / "none").run("prepare") == 1
    post(serving, {"inputs": {"t_s": [float(t) for t in range(1, 61)], "rr_ms": [1000.0] * 60}})
    post(serving, {"inputs": {"t_s": [1.0], "rr_ms": [-1.0]}})

    with telemetry.watch("train", dataset="synthetic"):
        telemetry.count(recordings=1, alarms=1)
        with telemetry.queue(lambda: 3):
            queries = {
                f"{panel['title']} {target['refId']}": target["expr"]
                for panel in BOARD["panels"]
                for target in panel["targets"]
            }
            assert len(queries) > 30
            # A container has none of these disks.
            queries.pop("Disk free A")
            for name, query in queries.items():
                until(gateway.series(query), name)
