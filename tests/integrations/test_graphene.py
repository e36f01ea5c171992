"""The nodes of a Graphene pipeline: rules of their files, and messages between them over gRPC."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import mlflow
import pandas as pd
import pytest

from aura.assembly import features_folder
from aura.config.compose import compose
from aura.core.parquet import read_meta, read_table
from aura.core.paths import PROJECT
from aura.integrations.graphene import aura_ml_trainer, edf_databroker, orchestrator, protolint, serve
from aura.integrations.graphene.aura_data_process import DataProcess
from aura.integrations.graphene.messages import RequestError, relative_path
from aura.integrations.graphene.proto import NODES, proto_path, read_node
from tests.support.project import SMALL_WORK, Project

pytestmark = pytest.mark.integration

WITHIN_S = 60
WORDS = [*SMALL_WORK, "compute=serial"]
DAMAGED = "00000099/s001_2020_01_01/00000099_s001_t000"
EMPTY = read_node(proto_path(NODES[0])).request()


@pytest.fixture(scope="module")
def shared(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shared folder with the small corpus and one unreadable recording."""
    folder = tmp_path_factory.mktemp("shared")
    shutil.copytree(corpus, folder / "data", copy_function=os.link)
    edf = folder / "data/edf/train/01_tcp_ar/000" / f"{DAMAGED}.edf"
    edf.parent.mkdir(parents=True)
    edf.write_bytes(b"no EDF")
    edf.with_suffix(".tse_bi").write_text("version = tse_v1.0.0\n\n0.0 10.0 bckg 1.0\n")
    return folder


def tables(folder: Path) -> dict[str, tuple[pd.DataFrame, dict[str, Any]]]:
    tables = {path.relative_to(folder).as_posix(): read_table(path) for path in folder.rglob("*.parquet")}
    # Only the shared folder has failures; the metadata of recordings.parquet holds the id of the run.
    tables.pop("failures.parquet", None)
    return {name: (frame, {} if name == "recordings.parquet" else meta) for name, (frame, meta) in tables.items()}


def test_three_nodes_produce_what_the_stages_produce(
    shared: Path, trained: Project, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHARED_FOLDER_PATH", str(shared))
    assert orchestrator.main(["--processes", "--batch", "5", *WORDS]) == 0
    out = capfd.readouterr().out
    assert re.findall("batch . of 3: . recordings with features", out) == [
        f"batch {number} of 3: {n} recordings with features" for number, n in ((1, 5), (2, 5), (3, 2))
    ]
    assert out.count("  failed, unreadable_edf: edf/") == 1
    # The trainer neither prepared nor featurized.
    assert "12 prepared (0 now, 12 unchanged), 1 failed" in out
    assert "(0 recordings now, 12 unchanged)" in out
    for kind in ("prepared", "features"):
        (made,) = (shared / "workspace" / "any").glob(f"{kind}-*")
        ours, theirs = tables(made), tables(trained.folder(kind))
        assert ours.keys() == theirs.keys()
        for name, (frame, meta) in theirs.items():
            pd.testing.assert_frame_equal(ours[name][0], frame)
            assert ours[name][1] == meta

    ended = re.search(r"trained: run (\w+), model aura-seizure-detector-any (\d+), of 12 recordings \(1 file fai", out)
    assert ended is not None
    run_id, version = ended.groups()
    assert mlflow.MlflowClient().get_model_version("aura-seizure-detector-any", version).run_id == run_id
    features = read_meta(trained.folder("features") / "recordings.parquet")
    assert features is not None
    *_, first = mlflow.search_runs(
        experiment_names=["tests"],
        filter_string=f"tags.`aura.upstream.featurize` = '{features['run_id']}' and tags.`aura.stage` = 'train'",
        order_by=["attributes.start_time DESC"],
        output_format="list",
    )
    scores, expected = (
        {name: value for name, value in run.data.metrics.items() if not name.startswith("system/")}
        for run in (mlflow.get_run(run_id), first)
    )
    assert len(scores) > 20
    assert scores == pytest.approx(expected, nan_ok=True)


def test_a_node_listens_only_locally_and_its_container_on_all_addresses() -> None:
    assert serve._build_parser().parse_args([NODES[0]]).listen == "127.0.0.1:8061"
    entries = re.findall(r"^ENTRYPOINT (.*graphene.*)$", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
    assert len(entries) == len(NODES)
    for name, entry in zip(NODES, entries, strict=True):
        words = json.loads(entry)
        assert words[:3] == ["python3", "-m", "aura.integrations.graphene.serve"]
        asked = serve._build_parser().parse_intermixed_args(words[3:])
        assert (asked.node, asked.listen) == (name, "[::]:8061")


@contextmanager
def served(name: str, shared: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], Callable[[Any], Any]]]:
    """Run a node as a process; yield the process and a function that calls the node."""
    node = read_node(proto_path(name))
    command = [sys.executable, "-m", "aura.integrations.graphene.serve", name, "--listen", "127.0.0.1:0", *more, *WORDS]
    env = {**os.environ, "SHARED_FOLDER_PATH": str(shared)}
    with subprocess.Popen(
        command, cwd=PROJECT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().rpartition(" ")[2].strip()
            assert port, process.stderr and process.stderr.read()
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                method = channel.unary_unary(
                    node.address,
                    request_serializer=node.request.SerializeToString,
                    response_deserializer=node.reply.FromString,
                )
                yield process, lambda request: method(request, timeout=WITHIN_S)
        finally:
            process.kill()


def expect_refusal(call: Callable[[], Any]) -> tuple[str, str]:
    """Return the status code and the message of a call that fails."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code().name, caught.value.details()


def test_the_databroker_sends_each_recording_once_and_then_starts_again(shared: Path) -> None:
    with served(NODES[0], shared, "--batch", "6") as (_, call):
        for _ in range(2):
            # Concurrent calls, which the node answers one by one.
            with ThreadPoolExecutor(3) as callers:
                batches = sorted(callers.map(call, [EMPTY] * 3), key=lambda batch: int(batch.number))
            assert [(batch.number, batch.count, len(batch.recordings)) for batch in batches] == [
                (1, 3, 6),
                (2, 3, 6),
                (3, 3, 1),
            ]
            paths = {edf.path for batch in batches for edf in batch.recordings}
            assert paths == {path.relative_to(shared / "data").as_posix() for path in shared.rglob("*.edf")}
            assert {batch.folder for batch in batches} == {"data"}
            assert expect_refusal(lambda: call(EMPTY)) == ("NOT_FOUND", "end of data")


def make_batch(**more: Any) -> Any:
    """Make a message as the databroker sends it."""
    node = read_node(proto_path(NODES[1]))
    values = {"dataset": "any", "folder": "data", "listing": "x", "number": 1, "count": 1, **more}
    recordings = values.pop("recordings", [])
    request = node.request(**values)
    for recording in recordings:
        request.recordings.add(**recording)
    return request


def test_data_process_refuses_an_invalid_batch(shared: Path) -> None:
    """A file outside of the corpus is not opened."""
    folders = [f"dataset.root={shared / 'data'}", f"workspace={shared / 'workspace'}"]
    work, node = DataProcess(compose(["dataset=any", *folders, *WORDS]), shared), read_node(proto_path(NODES[1]))
    outside = {"recording": "a", "path": "../b.edf"}
    damaged = {"recording": DAMAGED.rpartition("/")[2], "path": f"edf/train/01_tcp_ar/000/{DAMAGED}.edf"}
    same = "start all nodes with the same settings"
    for wrong, sentence in (
        (make_batch(), "recordings is empty or holds a recording twice"),
        (make_batch(recordings=[damaged, damaged]), "recordings is empty or holds a recording twice"),
        (make_batch(number=2), "number=2 is out of range; allowed is 1 to count, which is 1"),
        (make_batch(listing=""), "listing is empty; allowed is the digest that the databroker sends with each batch"),
        (make_batch(dataset="others"), f"dataset is 'others', but this node has 'any'; {same}"),
        (make_batch(folder=".."), f"folder is '..', but this node has 'data'; {same}"),
        (
            make_batch(recordings=[outside]),
            "the corpus has no recording 'a' at '../b.edf'",
        ),
    ):
        with pytest.raises(RequestError) as caught:
            work(wrong, node.reply())
        assert str(caught.value) == sentence
    reply = node.reply()
    work(make_batch(recordings=[damaged]), reply)
    assert not reply.recordings
    (failure,) = reply.failures
    assert (failure.recording, failure.path) == (damaged["recording"], damaged["path"])
    assert failure.reason == "unreadable_edf"


def test_sigterm_ends_a_busy_node(shared: Path) -> None:
    """Also after refused calls; the files written so far stay."""
    broker = read_node(proto_path(NODES[0]))
    everything = broker.reply()
    edf_databroker.Databroker(compose(["dataset=any", f"dataset.root={shared / 'data'}"]), shared, batch=100)(
        broker.request(), everything
    )
    with served(NODES[1], shared, "detector=neurokit") as (process, call):
        assert expect_refusal(lambda: call(make_batch()))[0] == "INVALID_ARGUMENT"
        with ThreadPoolExecutor(1) as caller:
            n_before = len(list(shared.glob("workspace/any/prepared-*/rr/*.parquet")))
            answer = caller.submit(call, everything)
            deadline = time.monotonic() + WITHIN_S
            # Wait until the node has written a recording.
            while len(list(shared.glob("workspace/any/prepared-*/rr/*.parquet"))) == n_before:
                assert time.monotonic() < deadline
                assert not answer.done()
                time.sleep(0.005)
            process.send_signal(signal.SIGTERM)
            asked_s = time.monotonic()
            assert process.wait(WITHIN_S) == 143
            assert time.monotonic() - asked_s < 5
            assert expect_refusal(answer.result)[0] == "UNAVAILABLE"
        assert process.stderr is not None
        assert process.stderr.read().endswith("aura aura_data_process: stopped\n")


def test_the_trainer_waits_for_all_batches_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = compose(["dataset=any", f"dataset.root={tmp_path}", f"workspace={tmp_path}", *WORDS])
    trainer, node, trained = aura_ml_trainer.Trainer(config, tmp_path), read_node(proto_path(NODES[2])), list[int]()
    monkeypatch.setattr(aura_ml_trainer.Trainer, "_train", lambda self, reply: trained.append(reply.batches))
    folder = relative_path(features_folder(config), tmp_path)

    def send(number: int, listing: str = "x", folder: str = folder) -> Any:
        reply = node.reply()
        trainer(node.request(dataset="any", folder=folder, listing=listing, number=number, count=3), reply)
        return reply

    assert [send(number).batches for number in (3, 1, 1)] == [1, 2, 2]
    # A new listing starts a new count.
    assert send(2, listing="y").batches == 1
    assert [send(number).batches for number in (3, 1)] == [1, 2]
    assert not trained
    send(2)
    assert trained == [3]
    assert send(1).batches == 1
    with pytest.raises(RequestError, match="folder is 'any/features-0'"):
        send(1, folder="any/features-0")


def test_a_node_that_cannot_start_reports_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A node sets these variables; monkeypatch restores them for other tests.
    for name in ("AURA_DATA", "AURA_WORKSPACE"):
        monkeypatch.setenv(name, "")
    for folder, words, message in (
        ("", [], "SHARED_FOLDER_PATH='' is not a folder; set it to the folder shared by all nodes"),
        (str(tmp_path), ["dataset.root=/"], "the folder '' is not in SHARED_FOLDER_PATH; choose a folder below it"),
        (str(tmp_path), ["seed=-1"], "seed=-1 is out of range; allowed is 0 to 4.29497e+09"),
        (str(tmp_path), ["--batch", "0"], "--batch 0; allowed is 1 to 1000, for edf_databroker only"),
    ):
        monkeypatch.setenv("SHARED_FOLDER_PATH", folder)
        assert serve.main([NODES[0], *words]) == 2
        assert capsys.readouterr().err == f"aura {NODES[0]}: {message}\n"


def test_an_internal_error_is_reported_without_details() -> None:
    def fail(request: Any, reply: Any) -> None:
        raise KeyError("a private name")

    future = Future[None]()
    serve._run_call(fail, None, None, future)
    code, message = serve._status(future.exception(0) or AssertionError(), compose())
    assert code.name == "INTERNAL"
    assert message == "internal error (KeyError); see the log of the node"


def test_the_orchestrator_names_a_node_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(orchestrator, "READY_WITHIN_S", 0.1)
    assert orchestrator.main(["--hosts", "127.0.0.1:1", "127.0.0.1:1", "127.0.0.1:1"]) == 1
    assert capsys.readouterr().err == "aura orchestrator: edf_databroker does not answer at 127.0.0.1:1\n"
    with pytest.raises(SystemExit, match="2"):
        orchestrator.main(["--hosts", "a:1", "b:1", "c:1", "seed=1"])


@pytest.fixture
def protos(tmp_path: Path) -> list[Path]:
    """Copy the files of the three nodes."""
    return [Path(shutil.copytree(proto_path(name).parent, tmp_path / name)) / "model.proto" for name in NODES]


def test_the_files_of_the_nodes_have_no_faults(protos: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert protolint.main([]) == 0
    assert protolint.main([str(protos[1])]) == 0
    assert capsys.readouterr().out == ""


EDGE = "message EdfBatch {\n  string dataset = 1;"
PLANTED = [
    ('syntax = "proto3";', 'syntax = "proto2";', "has no line syntax"),
    ('syntax = "proto3";', "", "has no line syntax"),
    ('syntax = "proto3";', 'syntax = "proto3";\npackage aura;', "has the package aura"),
    (
        'syntax = "proto3";',
        'syntax = "proto3";\nimport "google/protobuf/empty.proto";',
        "imports google/protobuf/empty",
    ),
    ("service Aura", "enum State {\n  NONE = 0;\n}\n\nservice Aura", "has the enum State"),
    (
        EDGE,
        "message EdfBatch {\n  enum State {\n    NONE = 0;\n  }\n  string dataset = 1;",
        "the enum EdfBatch.State",
    ),
    ("service Aura", "service Other {\n  rpc other(Edf) returns(Edf);\n}\n\nservice Aura", "has 2 services"),
    ("  rpc process(EdfBatch) returns(FeatureBatch);\n", "", "has no rpc"),
    (EDGE, "message EdfBatch {\n  string name = 1;", "message EdfBatch differs from that in"),
    (EDGE, "message EdfBatch {\n  bytes dataset = 1;", "message EdfBatch differs from that in"),
    (
        EDGE,
        "message EdfBatch {\n  map<string, string> more = 9;\n  string dataset = 1;",
        "the nested message MoreEntry",
    ),
    (EDGE, "message EdfBatch {\n  oneof x {\n    string a = 9;\n  }\n  string dataset = 1;", "has a oneof"),
    (EDGE, "message EdfBatch {\n  string message_id = 9;\n  string dataset = 1;", "would read the word message in it"),
    ("process(EdfBatch)", "process(Edf)", "takes Edf, but has to take EdfBatch"),
    ("returns(FeatureBatch)", "returns(EdfBatch)", "takes FeatureBatch, but has to take EdfBatch"),
    ("rpc process", "rpc next_batch", "next_batch is also the name of a service or rpc in"),
    ("AuraDataProcess", "EdfDatabroker", "EdfDatabroker is also the name of a service or rpc in"),
    ("returns(FeatureBatch);\n}", "returns(FeatureBatch);}", "a closing brace has to be on its own line"),
    ("returns(FeatureBatch);", "returns(FeatureBatch) {}", "a closing brace has to be on its own line"),
    ("returns(FeatureBatch);", "\n    returns(FeatureBatch);", "an rpc has to be on one line"),
    ("message Edf {", "message Edf\n{", "an opening brace has to end the line of its message"),
    ("message Edf {", "/* one */\nmessage Edf {", "only comments with // are allowed"),
    (
        "string path = 2;\n}\n\n//",
        "string path = 2;  // below the folder\n}\n\n//",
        "a comment has to be on its own line",
    ),
    ("message Edf {", "mesage Edf {", "model.proto:"),
]


@pytest.mark.parametrize(("text", "planted", "fault"), PLANTED, ids=[fault for _, _, fault in PLANTED])
def test_a_fault_in_a_proto_file_is_reported(protos: list[Path], text: str, planted: str, fault: str) -> None:
    path = protos[1]
    assert path.read_text().count(text) >= 1
    path.write_text(path.read_text().replace(text, planted, 1))
    assert any(fault in line for line in protolint.lint(protos)), protolint.lint(protos)


def test_a_fault_in_the_license_profile_is_reported(protos: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    profile = protos[0].with_name("license.json")
    profile_values = json.loads(profile.read_text())
    del profile_values["keyword"], profile_values["contact"]["URL"]
    profile.write_text(json.dumps(profile_values))
    protos[1].with_name("license.json").write_text("GPL")
    protos[2].with_name("license.json").unlink()
    moved = protos[2].rename(protos[2].with_name("trainer.proto"))
    assert protolint.main([*map(str, protos[:2]), str(moved)]) == 1
    lines = capsys.readouterr().out.splitlines()
    beside = "the license.json beside it"
    assert lines == [
        f"{protos[0]}: {beside} lacks keyword",
        f"{protos[0]}: {beside} lacks contact.URL",
        f"{protos[1]}: {beside} is not valid JSON: Expecting value: line 1 column 1 (char 0)",
        f"{moved}: has to be named model.proto",
        f"{moved}: there is no license.json beside it",
    ]
    assert "has to take Empty: it is the first node" in protolint.lint([protos[1], moved])[-1]
    assert protolint.lint([protos[2]]) == [f"{protos[2]}: the file does not exist"]
