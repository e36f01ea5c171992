"""The model as it is registered and served."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException

from aura.cli import main
from aura.core.parquet import read_table
from aura.core.series import RRSeries
from aura.demo import REAL_ECG, post, serve_model, write_real_ecg
from aura.detection.detector import NO_BEATS, REQUIREMENTS, TOO_FEW, load_detector
from aura.features import extract_features, feature_names
from aura.learning.classifier import seizure_probability
from aura.serving.pyfunc import Pyfunc
from tests.support.documentation import commands
from tests.support.project import Project, read_rr

pytestmark = pytest.mark.integration

MODEL = "models:/aura-seizure-detector-synthetic@champion"
PARQUET = "application/vnd.apache.parquet"


@pytest.fixture(scope="module")
def model(trained: Project) -> mlflow.pyfunc.PyFuncModel:
    return mlflow.pyfunc.load_model(MODEL)


def test_the_model_computes_the_features_of_training(trained: Project, model: mlflow.pyfunc.PyFuncModel) -> None:
    detector = load_detector(
        Path(mlflow.artifacts.download_artifacts(f"{MODEL}/{Path(model.metadata.flavors['python_function']['data'])}"))
    )
    for number in range(3):
        answer = model.predict(read_rr(trained, number))
        windows, _ = read_table(sorted((trained.folder("features") / "windows").glob("*.parquet"))[number])
        x = windows[feature_names(windows)].to_numpy()
        expected = detector.calibration(seizure_probability(detector.model, x))
        # A recording may go on after its last beat, which the served model cannot know.
        n = len(answer)
        assert len(windows) - 1 <= n <= len(windows)
        assert np.array_equal(answer["t_s"], windows["t_s"][:n])
        got = answer["probability"].to_numpy(dtype=np.float64, na_value=np.nan)
        assert np.array_equal(got, expected[:n], equal_nan=True)


def test_parts_of_a_long_recording_are_answered_like_the_whole(
    trained: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(mlflow.artifacts.download_artifacts(MODEL, dst_path=str(tmp_path)))
    detector = load_detector(next(folder.glob("data/*/detector.json")).parent)
    whole = Pyfunc(detector).predict(read_rr(trained))
    for cores, fewest, most in ((1, 1800, 7), (2, 1, 86_400), (3, 2, 60), (2, 5, 2)):
        monkeypatch.setattr("aura.detection.detector.MIN_WINDOWS_PER_PART", fewest)
        monkeypatch.setattr("aura.detection.detector.MAX_WINDOWS_PER_PART", most)
        monkeypatch.setattr("joblib.cpu_count", lambda cores=cores: cores)
        pd.testing.assert_frame_equal(Pyfunc(detector).predict(read_rr(trained)), whole, check_exact=True)
    # Steps whose sums are rounded: the last window ends with the last beat, or a hair after it.
    often = replace(detector, spec=replace(detector.spec, step_s=0.1))
    for last in range(305, 320):
        t_s = np.append(np.arange(1.0, 30.0), last / 10)
        rr = pd.DataFrame({"t_s": t_s, "rr_ms": np.full(len(t_s), 1000.0)})
        assert len(Pyfunc(often).predict(rr)) == len(
            extract_features(RRSeries(t_s, rr["rr_ms"].to_numpy(), last / 10), often.spec)
        )


def test_a_longer_step_gives_fewer_of_the_same_windows(url: str, trained: Project) -> None:
    """A column after the other, as is cheapest for long recordings."""
    rr = read_rr(trained)
    columns = {"t_s": rr["t_s"].tolist(), "rr_ms": rr["rr_ms"].tolist(), "recording": ["a"] * len(rr)}
    status, whole = post(url, {"inputs": columns})
    assert status == 200, whole
    status, fewer = post(url, {"inputs": columns, "params": {"step_s": 8}})
    assert status == 200, fewer
    assert fewer["predictions"] == [row for row in whole["predictions"] if row["t_s"] % 8 == 0]
    assert len(fewer["predictions"]) > 10
    for step_s in (5, 12, 0, -4, 1e-9, 1e999, "often"):
        status, answer = post(url, {"inputs": columns, "params": {"step_s": step_s}})
        assert status == 400
        assert "step_s" in answer["message"]


def test_an_answer_can_be_a_list_per_column(url: str, trained: Project) -> None:
    rr = read_rr(trained)
    columns = {"t_s": rr["t_s"].tolist(), "rr_ms": rr["rr_ms"].tolist(), "recording": ["a"] * len(rr)}
    status, rows = post(url, {"inputs": columns})
    assert status == 200, rows
    status, answer = post(url, {"inputs": columns, "params": {"orient": "list"}})
    assert status == 200, answer
    found = answer["predictions"]
    named = [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]
    assert rows["predictions"] == [{k: v for k, v in row.items() if k != "reason" or v} for row in named]
    assert None in found["probability"]
    assert any(found["probability"])
    assert post(url, {"inputs": columns, "params": {"orient": None}}) == (200, rows)
    for orient in ("split", "", 3, ["list"]):
        status, answer = post(url, {"inputs": columns, "params": {"orient": orient}})
        assert status == 400
        assert "orient" in answer["message"]


def test_a_parquet_file_gets_the_answer_of_json(url: str, trained: Project, tmp_path: Path) -> None:
    rr = pd.concat([read_rr(trained, i).assign(recording=f"r{i}") for i in range(2)])
    rr.to_parquet(tmp_path / "rr.parquet")
    status, answer = post_bytes(url, (tmp_path / "rr.parquet").read_bytes(), PARQUET)
    assert status == 200, answer
    assert post(url, {"inputs": rr.to_dict("list")}) == (200, json.loads(answer))
    # One that prepare wrote is one, and sent as the docs say.
    prepared = sorted((trained.folder("prepared") / "rr").glob("*.parquet"))[0]
    (words,) = (words for words in commands("curl") if "--data-binary" in words)
    assert words[2:] == ["-H", f"Content-Type: {PARQUET}", "--data-binary", "@intervals.parquet"]
    status, answer = post_bytes(url, prepared.read_bytes(), PARQUET)
    assert (status, json.loads(answer)) == post(url, {"inputs": read_rr(trained).to_dict("list")})
    for wrong in (rr.drop(columns="t_s"), rr.assign(rr_ms="fast"), rr.assign(t_s=-1.0), rr[:0]):
        wrong.to_parquet(tmp_path / "wrong.parquet")
        status, answer = post_bytes(url, (tmp_path / "wrong.parquet").read_bytes(), PARQUET)
        assert status == 400, answer


def test_each_recording_is_answered_separately(trained: Project, model: mlflow.pyfunc.PyFuncModel) -> None:
    one, other = read_rr(trained, 0), read_rr(trained, 1)
    both = pd.concat([one.assign(recording="a"), other.assign(recording="b")])
    answer = model.predict(both).set_index("recording")
    pd.testing.assert_frame_equal(answer.loc["a"].reset_index(drop=True), model.predict(one))
    pd.testing.assert_frame_equal(answer.loc["b"].reset_index(drop=True), model.predict(other))


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "the request has no row"),
        ([(1.0, -800.0)], "rr_ms must be positive; the smallest is -800"),
        ([(1.0, 0.0)], "rr_ms must be positive"),
        ([(2.0, 800.0), (1.0, 800.0)], "t_s must rise from row to row; row 1 has 1 after 2"),
        ([(1.0, 800.0), (1.0, 800.0)], "t_s must rise"),
        ([(np.nan, 800.0)], "must be finite"),
        ([(1.0, np.inf)], "must be finite"),
        ([(-1.0, 800.0)], "t_s must be in seconds"),
        ([(1e12, 800.0)], "t_s must be in seconds"),
        (
            [(1.0, 1000.0), (1.5, 1000.0)],
            "an interval begins after the previous one has ended; row 1 has rr_ms 1000 at t_s 1.5",
        ),
        ([(0.5, 800.0)], "an interval begins after the previous one has ended; row 0"),
        ([(1.0, 0.8), (1.8, 0.8)], "rr_ms must be in milliseconds; the median is 0.8"),
        (
            [(800.0 * i, 800.0) for i in range(1, 20)],
            "t_s must be in seconds; most intervals are far",
        ),
    ],
)
def test_invalid_beats_are_refused_with_a_reason(
    model: mlflow.pyfunc.PyFuncModel, rows: list[tuple[float, float]], says: str
) -> None:
    frame = pd.DataFrame(rows, columns=["t_s", "rr_ms"], dtype=np.float64)
    with pytest.raises(MlflowException, match=says) as error:
        model.predict(frame)
    assert error.value.get_http_status_code() == 400


def test_a_recording_id_is_given_in_all_rows_or_in_none(model: mlflow.pyfunc.PyFuncModel) -> None:
    frame = pd.DataFrame({"t_s": [1.0, 2.0], "rr_ms": [800.0, 900.0], "recording": ["a", None]})
    with pytest.raises(MlflowException, match="recording is missing or not a text in some rows"):
        model.predict(frame)


def test_the_model_is_code_and_data_without_a_pickle(trained: Project) -> None:
    folder = Path(mlflow.artifacts.download_artifacts(MODEL))
    files = {path.name for path in folder.rglob("*") if path.is_file()}
    assert {"model.skops", "detector.json", "pyfunc.py", "input_example.json"} <= files
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".joblib"))]
    # Who has loaded it from there has compiled it there.
    logged_at = (folder / "MLmodel").stat().st_mtime
    assert not [path for path in folder.rglob("*.pyc") if path.stat().st_mtime < logged_at]
    pinned = (folder / "requirements.txt").read_text().split()
    assert all(any(line.startswith(f"{name}==") for line in pinned) for name in REQUIREMENTS)


def test_the_model_loads_from_another_folder_without_the_checkout(trained: Project, tmp_path: Path) -> None:
    """In a process that has neither the checkout nor what only the stages need."""
    folder = mlflow.artifacts.download_artifacts(MODEL, dst_path=str(tmp_path))
    code = f"""
import sys
for name in ("hydra", "omegaconf", "edfio", "pyedflib", "sleepecg", "neurokit2", "timescoring", "tqdm"):
    sys.modules[name] = None
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model({folder!r})
rows = pd.DataFrame({{"t_s": [float(i) for i in range(1, 31)], "rr_ms": [1000.0] * 30}})
print(model.predict(rows).to_json())
import aura
print(aura.__file__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    answer, place = done.stdout.splitlines()
    assert len(json.loads(answer)["t_s"]) == 7
    assert str(tmp_path) in place


@pytest.fixture(scope="module")
def url(trained: Project) -> Iterator[str]:
    with serve_model(MODEL) as address:
        yield address


def payload(rows: list[list[object]], columns: tuple[str, ...] = ("t_s", "rr_ms")) -> dict[str, object]:
    return {"dataframe_split": {"columns": columns, "data": rows}}


def test_a_real_ecg_is_answered_from_file_to_probability(url: str, trained: Project, tmp_path: Path) -> None:
    write_real_ecg(tmp_path / "real")
    places = [
        f"dataset.root={tmp_path / 'real'}",
        f"workspace={tmp_path}",
        "windows.step_s=4",
        "compute=serial",
    ]
    for stage in ("prepare", "featurize"):
        assert main([stage, *REAL_ECG, *places]) == 0
    (rr_file,) = (tmp_path / "real_ecg").glob("prepared-*/rr/*.parquet")
    rr, _ = read_table(rr_file)
    # 5 min of a heart that beats about 100 times a minute.
    assert 400 < len(rr) < 600
    status, answer = post(url, {"dataframe_split": rr.to_dict("split", index=False)})
    assert status == 200
    probabilities = [row["probability"] for row in answer["predictions"]]
    assert len(probabilities) in (74, 75)
    # After 4 s there are not enough beats for any feature.
    assert probabilities[0] is None
    assert all(0 <= p <= 1 for p in probabilities[1:])
    model = mlflow.pyfunc.load_model(MODEL)
    assert probabilities[1:] == model.predict(rr)["probability"].tolist()[1:]


def test_the_curl_of_the_readme_is_answered(url: str) -> None:
    (words,) = (words for words in commands("curl") if "-d" in words)
    status, answer = post(url, json.loads(words[words.index("-d") + 1]))
    assert status == 200
    assert [row["t_s"] for row in answer["predictions"]] == [4.0, 8.0, 12.0]
    assert answer["predictions"][0]["probability"] is None
    assert all(0 <= row["probability"] <= 1 for row in answer["predictions"][1:])


def test_windows_before_the_first_beat_get_no_row(model: mlflow.pyfunc.PyFuncModel) -> None:
    t_s = np.arange(1, 61) + 1e6
    answer = model.predict(pd.DataFrame({"t_s": t_s, "rr_ms": np.full(60, 1000.0)}))
    assert answer["t_s"].tolist() == (1e6 + np.arange(4, 61, 4)).tolist()


def test_windows_without_beats_are_null(url: str) -> None:
    beats = [[float(t), 1000.0] for t in (*range(1, 101), *range(401, 501))]
    status, answer = post(url, payload(beats))
    assert status == 200
    by_time = {row["t_s"]: row["probability"] for row in answer["predictions"]}
    assert by_time[100.0] is not None
    assert by_time[300.0] is None


@pytest.mark.parametrize(
    "body",
    [
        payload([[1, -1000]]),
        payload([["soon", "long"]]),
        payload([]),
        payload([[2, 1000], [1, 1000]]),
        payload([[None, 1000]]),
        payload([[1]], ("t_s",)),
        payload([[1, 500], [1.2, 500]]),
        payload([[1, 800, ["a"]]], ("t_s", "rr_ms", "recording")),
        {"inputs": "text"},
        [],
        {},
        "text",
    ],
)
def test_an_invalid_request_gets_400_and_a_reason_without_a_stack_trace(url: str, body: object) -> None:
    status, answer = post(url, body)
    assert status == 400
    assert answer["message"]
    assert "stack_trace" not in answer
    assert "predictions" not in answer
    assert "Traceback" not in json.dumps(answer)


NUMBER = st.one_of(
    st.floats(), st.integers(-(10**20), 10**20), st.none(), st.booleans(), st.text(max_size=5), st.lists(st.integers())
)
CELL = st.one_of(st.floats(-10, 1e5), NUMBER)
NAME = st.one_of(st.sampled_from(["t_s", "rr_ms", "recording"]), st.text(max_size=5), st.integers(), st.none())
COLUMNS = st.one_of(st.just(["t_s", "rr_ms"]), st.just(["t_s", "rr_ms", "recording"]), st.lists(NAME, max_size=4))
ROWS = st.lists(st.lists(CELL, max_size=4), max_size=6)
JSON = st.recursive(NUMBER, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner))
PAYLOAD = st.one_of(
    st.fixed_dictionaries({"dataframe_split": st.fixed_dictionaries({"columns": COLUMNS, "data": ROWS})}),
    st.fixed_dictionaries({"dataframe_split": JSON}),
    st.fixed_dictionaries({"dataframe_records": st.lists(st.dictionaries(st.sampled_from(["t_s", "rr_ms"]), CELL))}),
    st.fixed_dictionaries({"inputs": st.dictionaries(st.sampled_from(["t_s", "rr_ms"]), st.lists(CELL, max_size=4))}),
    st.fixed_dictionaries({"instances": JSON, "params": JSON}),
    st.dictionaries(st.sampled_from(["dataframe_split", "inputs", "params", "columns"]), JSON, max_size=3),
    JSON,
)
CONTENT_TYPES = st.sampled_from(
    ["application/json"] * 6 + ["application/json; charset=utf-16", "text/csv", PARQUET, "text/plain", ""]
)


def is_rr(asked: dict[str, Any]) -> bool:
    """Whether what was asked is a series of RR intervals; a number may be in quotes, as in a CSV file."""
    if "dataframe_split" in asked:
        split = asked["dataframe_split"]
        rows = [dict(zip(split["columns"], row, strict=True)) for row in split["data"]]
    elif "dataframe_records" in asked:
        rows = asked["dataframe_records"]
    else:
        columns = asked["inputs"]
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    groups = dict[Any, list[tuple[float, float]]]()
    for row in rows:
        groups.setdefault(row.get("recording"), []).append((float(row["t_s"]), float(row["rr_ms"])))
    for beats in groups.values():
        end_s = 0.0
        for t_s, rr_ms in beats:
            if not (rr_ms > 0 and end_s - 0.011 <= t_s - rr_ms / 1000 and end_s < t_s < 31 * 86_400.1):
                return False
            end_s = t_s
    return bool(groups)


@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.one_of(PAYLOAD.map(lambda payload: json.dumps(payload).encode()), st.binary(max_size=60)), CONTENT_TYPES)
def test_no_request_breaks_the_server_or_gets_a_wrong_number(url: str, body: bytes, content_type: str) -> None:
    status, answer = post_bytes(url, body, content_type)
    assert 200 <= status < 500, answer
    if status != 200:
        assert "predictions" not in answer
        return
    if content_type.startswith("application/json"):
        assert is_rr(json.loads(body)), body
    for row in json.loads(answer)["predictions"]:
        assert (row["probability"] is None) == ("reason" in row), body
        assert row.get("reason", TOO_FEW) in (NO_BEATS, TOO_FEW)
        assert row["probability"] is None or 0 <= row["probability"] <= 1


def test_the_server_still_answers_a_valid_request(url: str) -> None:
    status, answer = post(url, payload([[float(t), 1000.0] for t in range(1, 61)]))
    assert status == 200
    assert answer["predictions"][-1]["probability"] is not None
    assert answer["predictions"][0]["reason"] == "too few valid beats in the window"


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"null", b"1e999", b"[" * 900, b'{"inputs": [NaN]}'])
def test_malformed_bodies_are_refused(url: str, body: bytes) -> None:
    status, answer = post_bytes(url, body, "application/json")
    assert 400 <= status < 500, answer[:300]
    test_the_server_still_answers_a_valid_request(url)


def test_a_deeply_nested_body_does_not_affect_other_requests(url: str) -> None:
    """MLflow's parser answers 500 to it, before any code of ours."""
    _, answer = post_bytes(url, b"[" * 100_000, "application/json")
    assert "predictions" not in answer
    test_the_server_still_answers_a_valid_request(url)


def test_a_request_over_the_limits_is_refused(
    model: mlflow.pyfunc.PyFuncModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aura.serving.requests.MAX_ROWS", 30)
    monkeypatch.setattr("aura.serving.requests.MAX_WINDOWS", 100)
    beats = pd.DataFrame({"t_s": np.arange(1.0, 32.0), "rr_ms": np.full(31, 1000.0)})
    with pytest.raises(MlflowException, match="31 rows are too many for one request; allowed are 30") as error:
        model.predict(beats)
    assert error.value.get_http_status_code() == 400
    model.predict(beats[:30])
    apart = pd.DataFrame({"t_s": [1.0, 1000.0], "rr_ms": [1000.0, 1000.0]})
    with pytest.raises(MlflowException, match="250 windows, one every 4 s, are too many for one request"):
        model.predict(apart)


def post_bytes(url: str, body: bytes, content_type: str) -> tuple[int, str]:
    request = urllib.request.Request(url, body, {"Content-Type": content_type})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
