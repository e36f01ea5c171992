"""An entry point declares itself in its module, and everything else reads the declaration."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

import aura.stages
from aura.cli import main
from aura.config import knobs
from aura.config.compose import compose
from aura.config.disclosure import public
from aura.config.help import read_comments
from aura.config.mlproject import write_mlproject
from aura.config.scope import Scope, scope_of
from aura.config.stage import Stage, find_stages
from aura.config.summary import describe_run, list_parameters, name_run
from aura.core.paths import CONF, PROJECT

MODULE = '''
from dataclasses import dataclass
from typing import Annotated

from aura.config.stage import Stage
from aura.core.ranges import Range


@dataclass(frozen=True)
class GreetConfig:
    """Whom to greet, and how often."""

    person: str | None
    times: Annotated[int, Range(1, 9)]


STAGE = Stage(
    name="greet",
    help="greet a person",
    module=__name__,
    sections={"greet": GreetConfig},
    shorthand=("greet.person",),
)


def run(config):
    wanted = config.section(GreetConfig)
    print(", ".join([f"hello {wanted.person}"] * wanted.times))
'''
SECTION = """
greet:
  # Person to greet. A second sentence is not shown.
  person: null
  # Number of greetings.
  times: 1
"""


@pytest.fixture
def greet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Add an entry point: a module and a section of the configuration."""
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "greet.py").write_text(MODULE)
    conf = shutil.copytree(CONF, tmp_path / "conf")
    config = conf / "config.yaml"
    config.write_text(config.read_text().replace("\nhydra:", f"{SECTION}\nhydra:"))
    monkeypatch.setattr(aura.stages, "__path__", [*aura.stages.__path__, str(tmp_path / "stages")])
    for module in ("core.paths", "config.compose", "config.help"):
        monkeypatch.setattr(f"aura.{module}.CONF", conf)
    yield
    del sys.modules["aura.stages.greet"]
    del aura.stages.greet  # type: ignore[attr-defined]


@pytest.mark.usefixtures("greet")
def test_a_module_and_a_section_add_an_entry_point(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "  greet              greet a person\n" in capsys.readouterr().out
    assert main(["greet", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "keys of greet:\n  person=                        Person to greet\n" in shown
    assert "  greet.times=1                  Number of greetings\n" in shown
    assert main(["greet", "person=Ada's friend", "greet.times=2"]) == 0
    assert capsys.readouterr().out == "hello Ada's friend, hello Ada's friend\n"


@pytest.mark.usefixtures("greet")
@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("greet.times=10", "greet.times=10 is out of range; allowed is 1 to 9"),
        ("greet.times=often", "greet.times: Value 'often' of type 'str' could not be converted to Integer"),
        ("+greet.tone=warm", "there is no key greet.tone; allowed beside it are: person, times; also person"),
        ("partition=0/2", "partition is for prepare and featurize alone"),
        ("Ada", "'Ada' is not an override; write key=value, such as person=Ada"),
    ],
)
def test_wrong_words_of_an_added_entry_point_are_refused(
    word: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["greet", word]) == 2
    assert capsys.readouterr().err == f"aura greet: {says}\n"


@pytest.mark.usefixtures("greet")
def test_the_section_of_an_added_entry_point_is_not_logged() -> None:
    config = compose(["greet.person=geheim"])
    said = [describe("greet", config) for describe in (list_parameters, name_run)]
    assert "geheim" not in f"{public(config)}{said}{describe_run('greet', config, 'aura')}"
    assert scope_of(type(config), "greet.person") is Scope.PRIVATE


def test_sections_and_shorthand_are_keys_of_the_configuration() -> None:
    shipped = yaml.safe_load((CONF / "config.yaml").read_text())
    for stage in find_stages().values():
        for key, section in stage.sections.items():
            assert list(shipped[key]) == [part.name for part in fields(section)]
        for key in stage.shorthand:
            name, _, below = key.partition(".")
            assert key == "dataset.root" or below in shipped[name]
        assert len(stage.words) == len(stage.shorthand)


def test_each_key_of_an_entry_point_has_a_comment() -> None:
    comments = read_comments(CONF / "config.yaml")
    for stage in find_stages().values():
        keys = [f"{key}.{part.name}" for key, section in stage.sections.items() for part in fields(section)]
        assert [key for key in keys if not comments.get(key)] == []


def test_help_of_detect_shows_its_keys_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["detect", "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("keys of detect:")
    assert [line.split()[0] for line in lines[at + 1 : at + 5]] == [
        "edf=",
        "model=",
        "output=detections",
        "format=tse_bi",
    ]
    assert len(lines) < 35
    assert "by default the only champion" in lines[at + 2]
    # The folder exists wherever the package is installed.
    folder = lines[-1].removeprefix("The comments in ").removesuffix(" explain every key.")
    assert (Path(folder) / "config.yaml").is_file()


def test_help_shows_no_value_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AURA_DATABASE", "postgresql://aura:geheim@db/aura")
    assert main(["import", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "url=$AURA_DATABASE" in shown
    assert "geheim" not in shown


@pytest.mark.parametrize("name", sorted(find_stages()))
def test_each_entry_point_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "-h"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: python -m aura {name} ")


def test_the_project_of_mlflow_is_what_the_stages_declare() -> None:
    assert (PROJECT / "MLproject").read_text() == write_mlproject(), "run make mlproject"
    declared = yaml.safe_load(write_mlproject())["entry_points"]
    # szcore runs in containers only.
    assert declared.keys() == find_stages().keys() - {"szcore"}
    poincare = "Window of the Poincaré plot in seconds; default [60]"
    assert f'      poincare_s: {{type: float, default: ""}}  # {poincare}\n' in write_mlproject()


def test_every_listed_family_has_a_short_word() -> None:
    listed = yaml.safe_load((CONF / "windows" / "original.yaml").read_text())["lengths_s"]
    assert list(knobs.FAMILIES) == list(listed)


@pytest.mark.parametrize("stage", [stage for stage in find_stages().values() if stage.knobs], ids=lambda s: s.name)
def test_a_short_word_sets_its_key(stage: Stage) -> None:
    config = compose()
    for word, key in stage.knobs.items():
        assert stage.to_overrides([f"{word}=3"])[-1] == f"{key}=3"
        assert stage.to_overrides([f"{word}="]) == [*stage.overrides]
        owner: object = config
        for part in key.split("."):
            owner = owner[part] if isinstance(owner, dict) else getattr(owner, part)


def test_short_words_and_full_keys_hold_any_path() -> None:
    for word in ("root=/a=b/it's, [1]", "dataset.root=/a=b/it's, [1]"):
        assert compose(find_stages()["train"].to_overrides([word])).dataset.root == "/a=b/it's, [1]"
    assert compose(["windows.lengths_s.poincare=30"]).windows.lengths_s["poincare"] == [30]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["train", "nothing=1"], 2, "there is no key nothing"),
        (["train", "dataset=any", "dataset.root=none"], 1, "dataset.root, which ends in 'none', is not a folder"),
        (["prepare", "dataset=any", "dataset.root=none"], 1, "dataset.root, which ends in 'none', is not a folder"),
        (["detect", "edf=none.edf"], 1, "edf=none.edf does not exist"),
    ],
)
def test_a_wrong_key_or_path_is_refused_before_large_libraries_are_imported(
    words: list[str], code: int, message: str, tmp_path: Path
) -> None:
    large = {"mlflow", "pandas", "scipy", "sklearn", "matplotlib", "bokeh", "numba"}
    program = (
        "import sys; from aura.cli import main; code = main(sys.argv[1:]); "
        f"print(*{large} & set(sys.modules)); sys.exit(code)"
    )
    command = [sys.executable, "-c", program, *words, f"workspace={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (code, [])
    assert message in done.stderr
