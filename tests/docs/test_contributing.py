"""The table of CONTRIBUTING.md names files and tests that exist, and the rules of tests are enforced."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from aura.core.paths import PROJECT

TEXT = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
TABLE = TEXT[TEXT.index("| To add |") :].split("\n\n")[0]
ROWS = [line for line in TABLE.splitlines()[2:] if line]
# Paths, of files or of folders; NAME stands for any name.
PATHS = sorted(set(re.findall(r"`([\w./]+(?:/|\.\w+)|MLproject)(?:::\w+)?`", TABLE)))
TESTS = re.findall(r"`(tests/[\w./]+)::(\w+)`", TABLE)


def test_every_row_names_a_file() -> None:
    assert len(ROWS) >= 6
    assert all(re.search(r"`\w+/", row) for row in ROWS)


@pytest.mark.parametrize("path", PATHS)
def test_files_in_the_table_exist(path: str) -> None:
    assert any(PROJECT.glob(path.replace("NAME", "*")))


@pytest.mark.parametrize(("path", "name"), TESTS, ids=[name for _, name in TESTS])
def test_tests_in_the_table_exist(path: str, name: str) -> None:
    assert f"def {name}(" in (PROJECT / path).read_text(encoding="utf-8")


def test_a_test_file_imports_from_no_other_test_file() -> None:
    for path in (PROJECT / "tests").rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        modules = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
        assert not [module for module in modules if re.match(r"tests\.(conftest|.*\btest_)", module)], path


MARK = "import pytest\n\npytestmark = pytest.mark.integration\n"
TEST = "\ndef test_it():\n    pass\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "exit_code", "message"),
    [
        ("import mlflow\n" + TEST, pytest.ExitCode.INTERRUPTED, "test_it.py imports MLflow"),
        (TEST + "    import mlflow\n", pytest.ExitCode.TESTS_FAILED, "a unit test imports MLflow"),
        ("import mlflow\n" + MARK + TEST, pytest.ExitCode.NO_TESTS_COLLECTED, "no tests ran"),
        (TEST, pytest.ExitCode.OK, "1 passed"),
    ],
)
def test_a_unit_test_that_imports_mlflow_fails(
    text: str, exit_code: pytest.ExitCode, message: str, tmp_path: Path
) -> None:
    (tmp_path / "mlflow.py").write_text("")
    (tmp_path / "test_it.py").write_text(text)
    options = ["-p", "conftest", "-p", "no:cacheprovider", "-c", "pyproject.toml", "--rootdir"]
    command = [sys.executable, "-m", "pytest", "-m", "not integration", *options, tmp_path, tmp_path]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert message in done.stdout
    assert done.returncode == exit_code
