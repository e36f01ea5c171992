"""The rules of unit tests, for ``tests/`` and for the doctests of ``aura/``.

A test without the marker ``integration`` is a unit test: it imports no MLflow and makes no database.
A unit run is a run with ``-m "not integration"``.
"""

import re
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

# A test that asks for one of these fixtures is marked.
MARKERS = {"tracking_uri": "integration", "postgresql_server": "integration", "browser": "browser"}
INTEGRATION_FILE = re.compile(r"^pytestmark = .*mark\.integration", re.MULTILINE)
DOCTEST = re.compile(r"^\s*>>> ", re.MULTILINE)


def is_unit_run(config: pytest.Config) -> bool:
    """Whether integration tests are deselected."""
    return "not integration" in config.option.markexpr


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """In a unit run, do not import what has no unit tests: files of integration tests, modules without a doctest."""
    if not is_unit_run(config) or collection_path.suffix != ".py":
        return None
    text = collection_path.read_text(encoding="utf-8")
    if collection_path.name.startswith("test_"):
        return True if INTEGRATION_FILE.search(text) else None
    return None if DOCTEST.search(text) else True


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail a file that imports MLflow in a unit run."""
    before = "mlflow" in sys.modules
    report = yield
    if is_unit_run(collector.config) and "mlflow" in sys.modules and not before:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} imports MLflow; write pytestmark = pytest.mark.integration into it"
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their fixtures, and give each integration test the tests' tracking database."""
    for item in items:
        fixtures: list[str] = getattr(item, "fixturenames", [])
        for marker in {marker for fixture, marker in MARKERS.items() if fixture in fixtures}:
            item.add_marker(marker)
        if item.get_closest_marker("integration") and "tracking_uri" not in fixtures:
            fixtures.insert(0, "tracking_uri")


@pytest.fixture(autouse=True)
def _only_integration_tests_import_mlflow(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a unit test that imports MLflow."""
    before = "mlflow" in sys.modules
    yield
    if "mlflow" in sys.modules and not before and not request.node.get_closest_marker("integration"):
        pytest.fail("a unit test imports MLflow; mark it with @pytest.mark.integration")
