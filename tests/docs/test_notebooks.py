"""The notebooks of the docs run offline on what they make themselves, each in under a minute of CPU time."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from aura.core.paths import PROJECT

NOTEBOOKS = sorted((PROJECT / "docs" / "notebooks").glob("*.py"))
pytestmark = [pytest.mark.integration, pytest.mark.slow]


def used_s() -> float:
    """CPU time of all processes that have ended; elapsed time depends on what else the machine does."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_runs_from_top_to_bottom(notebook: Path, tmp_path: Path) -> None:
    assert notebook.stat().st_size < 100_000
    before_s = used_s()
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
    assert used_s() - before_s < 60
