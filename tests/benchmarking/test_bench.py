"""The bench: what it measures is true, nobody else's runs are touched, and its page has all of it."""

import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import psutil
import pytest
from filelock import FileLock
from playwright.sync_api import sync_playwright

from aura.benchmarking.measure import Cost, measure
from aura.benchmarking.report import draw_report
from aura.benchmarking.tables import SETUP, Tables
from aura.cli import main
from aura.core.paths import PROJECT

pytestmark = pytest.mark.integration

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
TINY = ["dataset.synthesis.hours_per_subject=0.5", "dataset.synthesis.eeg_channels=0"]
BUSY = "import time\nwhile time.process_time() < 1: pass\n"


def cost_of(code: str, folder: Path) -> tuple[Cost, str]:
    output = folder / "output.txt"
    code_of_exit, cost = measure([sys.executable, "-c", code], folder=folder, env={}, output=output)
    assert code_of_exit == 0, output.read_text()
    return cost, output.read_text()


def test_cpu_time_includes_child_processes(tmp_path: Path) -> None:
    in_one = f"import subprocess, sys\n{BUSY}"
    below = f"{in_one}\nsubprocess.run([sys.executable, '-c', {in_one + chr(10) + 'print(1)'!r}])"
    further = f"{in_one}\nsubprocess.run([sys.executable, '-c', {below!r}])"
    cost, _ = cost_of(further, tmp_path)
    assert cost.cpu_s == pytest.approx(3, rel=0.2)
    assert cost.wall_s >= 0.99 * cost.cpu_s


def test_peak_memory_is_that_of_all_processes_together(tmp_path: Path) -> None:
    # What is measured does not begin with the memory of who measures.
    ballast = b"x" * 500_000_000
    takes = "import time\nx = b'x' * 200_000_000\ntime.sleep(0.6)\n"
    alone, _ = cost_of(takes, tmp_path)
    assert 200e6 < alone.memory_peak_bytes < 240e6
    both = f"import subprocess, sys\nchild = subprocess.Popen([sys.executable, '-c', {takes!r}])\n{takes}child.wait()"
    assert 400e6 < cost_of(both, tmp_path)[0].memory_peak_bytes < 480e6
    del ballast


@pytest.mark.skipif(sys.platform != "linux", reason="no such counters; run the tests on Linux")
def test_bytes_include_child_processes(tmp_path: Path) -> None:
    writes = "open('new', 'wb').write(bytes(30_000_000))"
    below = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {writes!r}])\n"
    nothing, _ = cost_of(below.replace("30_000_000", "0"), tmp_path)
    cost, _ = cost_of(f"{below}open('new', 'rb').read()", tmp_path)
    assert cost.written_bytes is not None
    assert cost.read_bytes is not None
    assert nothing.read_bytes is not None
    assert 30e6 <= cost.written_bytes < 30.1e6
    assert cost.read_bytes - nothing.read_bytes == pytest.approx(30e6, rel=0.01)


def test_an_interrupted_measurement_leaves_no_process_running(tmp_path: Path) -> None:
    sleeps = "import time\nprint('here', flush=True)\ntime.sleep(60)"
    below = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {sleeps!r}])"
    code = (
        "import sys\nfrom pathlib import Path\nfrom aura.benchmarking.measure import measure\n"
        f"measure([sys.executable, '-c', {below!r}], folder=Path(), env={{}}, output=Path('output.txt'))"
    )
    command = [sys.executable, "-c", code]
    env = {"PYTHONPATH": str(PROJECT)}
    with subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.DEVNULL) as process:
        output = tmp_path / "output.txt"
        while not (output.exists() and "here" in output.read_text()):
            assert process.poll() is None
            time.sleep(0.02)
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) == 2
        process.send_signal(signal.SIGINT)
        assert process.wait(10) != 0
    assert not psutil.wait_procs(children, timeout=5)[1]


def runs_of(setups: dict[str, float], sizes: dict[int, float]) -> pd.DataFrame:
    """Runs of a stage whose cost is known: 2 h^1.5 by the clock, 5 + 3 h of CPU, by setup a factor."""
    rows = []
    for i, (version, factor) in enumerate(setups.items()):
        for subjects, hours in sizes.items():
            for workers in (1, 2):
                row: dict[str, object] = dict.fromkeys(SETUP, "1")
                row |= {"version": version, "memory_bytes": "8000000000", "stage": "prepare", "error": None}
                row["measured"] = pd.Timestamp("2026-01-01") + pd.Timedelta(days=i)
                row |= {"subjects": subjects, "recorded_h": hours, "workers": workers}
                row |= {"wall_s": factor * 2 * hours**1.5 / workers, "cpu_s": factor * (5 + 3 * hours)}
                row |= {"memory_peak_bytes": 5e8, "read_bytes": 1e6, "written_bytes": 2e6}
                rows.append(row | {"disk_read_bytes": None, "disk_written_bytes": None})
    return pd.DataFrame(rows)


def test_slopes_are_those_of_the_planted_numbers() -> None:
    tables = Tables.compare(runs_of({"a": 1.0, "b": 4.0}, {6: 6.0, 24: 24.0, 100: 100.0}))
    np.testing.assert_allclose(tables.slopes["wall_exponent"], 1.5, rtol=1e-12)
    np.testing.assert_allclose(tables.slopes["cpu_s_per_h"], [3, 3, 12, 12], rtol=1e-12)
    assert tables.slopes["sizes"].tolist() == [3] * 4
    assert not len(Tables.compare(runs_of({"a": 1.0}, {6: 6.0})).slopes)


def test_the_fastest_of_several_runs_counts_and_a_setup_keeps_its_number() -> None:
    first = runs_of({"a": 1.0}, {6: 4.0})
    slow = first.assign(wall_s=first["wall_s"] * 3, measured=first["measured"] + pd.Timedelta(days=9))
    later = runs_of({"a": 1.0, "b": 2.0}, {6: 4.0}).query("version == 'b'")
    tables = Tables.compare(pd.concat([later, slow, first], ignore_index=True))
    assert tables.setups[["setup", "version"]].to_numpy().tolist() == [[1, "a"], [2, "b"]]
    ours = tables.costs[tables.costs["setup"] == 1]
    assert ours["wall_s"].tolist() == [16.0, 8.0]
    assert ours["runs"].tolist() == [2, 2]
    assert ours["speedup"].tolist() == [1.0, 2.0]
    assert ours["cores_at_work"].tolist() == [17 / 16, 17 / 8]


def test_a_failure_is_reported_until_the_run_succeeds() -> None:
    runs = runs_of({"a": 1.0}, {6: 4.0, 24: 16.0})
    failed = runs[runs["subjects"] == 6].assign(error="aura prepare: <b>no</b> disk", wall_s=None, cpu_s=None)
    before = Tables.compare(pd.concat([failed, runs[runs["subjects"] == 24]], ignore_index=True))
    assert before.failures["error"].tolist() == ["aura prepare: <b>no</b> disk"] * 2
    assert before.costs["subjects"].tolist() == [24, 24]
    assert "4 h, 1 worker: aura prepare: &lt;b&gt;no&lt;/b&gt; disk" in draw_report(before)
    since = failed.assign(measured=failed["measured"] - pd.Timedelta(hours=1))
    assert not len(Tables.compare(pd.concat([runs, since], ignore_index=True)).failures)
    # A page can be drawn of failures alone.
    assert "No measurement of this setup has succeeded" in draw_report(Tables.compare(failed))


def test_the_page_is_complete_and_loads_nothing(tmp_path: Path) -> None:
    tables = Tables.compare(runs_of({"aaa111": 1.0, "bbb222 + c0ffee": 2.0}, {6: 4.0, 24: 16.0}))
    html = draw_report(tables)
    assert html.count("<svg") == 2 * 3
    versions = ("aaa111", "bbb222 + c0ffee", "× 0.50")
    # No system tells all; what it did not tell is no zero.
    for said in ("Time per stage, 16 h", "prepare, slope 1.50 / 1.50", "<td>1.0 <small>–</small></td>", *versions):
        assert said in html, said
    assert not re.search(r"""(src|href)=["'](?!#|data:)|@import|url\((?!#)""", html)
    (tmp_path / "report.html").write_text(html, encoding="utf-8")
    if CHROMIUM is None:
        pytest.skip("no Chromium to open it in; apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        tab = chromium.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
        asked: list[str] = []
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("console", lambda said: asked.append(said.text))
        tab.goto((tmp_path / "report.html").as_uri())
        ink = tab.eval_on_selector("svg text", "text => getComputedStyle(text).fill")
        narrow = tab.evaluate("document.querySelector('svg').getBoundingClientRect().width")
        chromium.close()
    assert asked == [(tmp_path / "report.html").as_uri()]
    # Light on dark, on a phone as well.
    assert min(map(int, re.findall(r"\d+", ink)[:3])) > 200
    assert narrow < 390


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Workspace of one tiny bench: two sizes, two numbers of workers."""
    workspace = tmp_path_factory.mktemp("bench")
    words = ["bench.stages=[prepare]", "bench.subjects=[4,2]", "bench.workers=[1,2]", f"workspace={workspace}"]
    assert main(["bench", *words, *TINY]) == 0
    return workspace


def bench_runs(status: str) -> list[mlflow.entities.Run]:
    query = f"params.stage != '' and status = '{status}'"
    found: list[mlflow.entities.Run] = mlflow.search_runs(
        experiment_names=["aura-benchmarks"], filter_string=query, output_format="list"
    )
    return found


def test_each_size_and_number_of_workers_is_a_run(place: Path, tracking_uri: str) -> None:
    runs = bench_runs("FINISHED")
    assert sorted((run.data.params["recorded_h"], run.data.params["workers"]) for run in runs) == [
        *(("1.0", "1"), ("1.0", "2"), ("2.0", "1"), ("2.0", "2"))
    ]
    (parent,) = {run.data.tags["mlflow.parentRunId"] for run in runs}
    for run in runs:
        assert run.data.metrics.keys() == {*Cost.__dataclass_fields__, "recorded_h"}
        cost = run.data.metrics
        assert 0.2 < cost["cpu_s"] < 60
        assert cost["wall_s"] * 2 * psutil.cpu_count() > cost["cpu_s"]
        assert 150e6 < cost["memory_peak_bytes"] < 3e9
        # The start reads more than the corpus has; RR intervals are smaller than the ECG.
        assert cost["read_bytes"] > 1e6
        assert 1e4 < cost["written_bytes"] < 5e6
        assert abs(run.info.end_time - run.info.start_time - 1000 * cost["wall_s"]) <= 1
        assert run.data.params["settings"] == " ".join(TINY)
        assert run.data.tags["bench.cores"].isdigit()
        assert "numpy" in run.data.tags["bench.libraries"]
        said = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/output.txt")
        assert "failed" in said
        assert "0 failed" in said
    one, two = ([r.data.metrics["memory_peak_bytes"] for r in runs if r.data.params["workers"] == n] for n in "12")
    # A program that a stage starts, such as git, is counted too if it runs as memory is read, so the least is compared.
    assert min(two) > 1.3 * min(one)
    # Of the user's own experiments none has got a run, and of their runs none is ours.
    names = {one.name for one in mlflow.search_experiments()}
    assert names == {"Default", "tests", "aura-benchmarks"}
    assert not mlflow.search_runs(experiment_names=["Default"], output_format="list")
    assert mlflow.get_run(parent).info.status == "FINISHED"
    assert not [path for path in (place / "bench").iterdir() if path.is_dir()]
    logged = {file.path for file in mlflow.MlflowClient().list_artifacts(parent)}
    assert {"report.html", "report.csv"} <= logged


def test_without_stages_the_report_is_drawn_again(place: Path, tmp_path: Path) -> None:
    assert main(["bench", "bench.stages=[]", f"workspace={tmp_path}"]) == 0
    before, after = (pd.read_csv(folder / "bench" / "report.csv") for folder in (place, tmp_path))
    pd.testing.assert_frame_equal(before, after)
    assert len(after) == 4
    html = (tmp_path / "bench" / "report.html").read_text(encoding="utf-8")
    assert html.count("<svg") == 3
    assert "prepare, slope" in html


def test_a_failed_stage_has_a_reason_and_no_number(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Refused by the stage alone, before it imports what takes seconds; nothing is drawn on a cluster that is not there.
    monkeypatch.setattr("aura.stages.synthesize.run.run", lambda config: None)
    words = ["bench.stages=[prepare,train]", "bench.subjects=[2]", "bench.workers=[2]"]
    cluster = ["compute=dask", "compute.address=tcp://127.0.0.1:9"]
    assert main(["bench", *words, *cluster, f"workspace={tmp_path}"]) == 1
    sentence = "aura prepare: compute.workers=2; allowed is"
    assert sentence in capsys.readouterr().err
    (run,) = bench_runs("FAILED")
    assert run.data.params["stage"] == "prepare"
    assert not run.data.metrics
    assert run.data.tags["aura.error"].startswith(sentence)
    # What runs is told where; what is logged is not.
    assert run.data.params["settings"] == "compute=dask"
    assert sentence in (tmp_path / "bench" / "report.html").read_text(encoding="utf-8")
    assert mlflow.get_run(run.data.tags["mlflow.parentRunId"]).info.status == "FAILED"
    mlflow.delete_run(run.info.run_id)


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("bench.stages=[prepare,sweep]", "'sweep' cannot be measured; allowed are prepare, featurize, train, detect"),
        ("bench.subjects=[6,1]", "bench.subjects=[6, 1]; allowed are distinct numbers from 2 up"),
        ("bench.workers=[2,2]", "bench.workers=[2, 2]; allowed are distinct numbers from 1 up"),
        ("bench.workers=[]", "bench.workers=[]; allowed are"),
        ("compute=serial", "remove compute=serial"),
        ("dataset=any dataset.root=.", "dataset=any has a fixed size; allowed is dataset=synthetic"),
    ],
)
def test_an_impossible_measurement_is_refused(
    word: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *word.split(), f"workspace={tmp_path}"]) == 1
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_two_measurements_do_not_run_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bench").mkdir()
    with FileLock(tmp_path / "bench" / "lock"):
        assert main(["bench", f"workspace={tmp_path}"]) == 1
    assert "another bench is running" in capsys.readouterr().err
