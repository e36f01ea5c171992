"""The notebooks of the docs run offline on what they make themselves, each in under a minute."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import aura
from aura.core.paths import PROJECT

NOTEBOOKS = sorted((PROJECT / "docs" / "notebooks").glob("*.py"))
NAMES = ("PreparedCorpus", "compose", "detect_beats", "extract_features", "load_detector", "read_ecg")

pytestmark = pytest.mark.xfail(
    not all(hasattr(aura, name) for name in NAMES),
    reason="`import aura` does not offer its public names yet",
    run=False,
    strict=True,
)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_runs_from_top_to_bottom(notebook: Path, tmp_path: Path) -> None:
    assert notebook.stat().st_size < 100_000
    begun = time.monotonic()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "AURA_"))}
    done = subprocess.run(
        [sys.executable, str(notebook)],
        cwd=tmp_path,
        env={**environment, "MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert time.monotonic() - begun < 60
