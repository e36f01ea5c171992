"""No name becomes a formula in a file that people open in a spreadsheet, and machines read the same as before."""

import csv
import io
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

from aura.core.events import Event
from aura.formats.detections import write_detections
from aura.formats.spreadsheet import as_text, to_csv
from aura.formats.tabular import read_csv, write_csv_bi

SIGNS = "=+-@\t\r\n"
FORMULAS = [
    "=1+1",
    "+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    '=cmd|" /C calc"!A0',
    "＝1+1",
    "a,=1",
    "a;=1",
    "a\n=1",
]


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_no_cell_of_a_table_is_a_formula(name: str, separator: str) -> None:
    text = to_csv(pd.DataFrame({"name": [name, "Müller"], "value": [-1.5, 2.0]}))
    quoted = [cell for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) for cell in row]
    plain = [cell for line in text.splitlines() for cell in line.split(separator)]
    for cells in (quoted, plain):
        assert not [cell for cell in cells if cell.lstrip('"')[:1] in [*SIGNS, "＝"] and cell not in ("-1.5", "")]
    # Numbers stay numbers, and other names as they are.
    read = pd.read_csv(io.StringIO(text))
    assert read["value"].tolist() == [-1.5, 2.0]
    assert read["name"][1] == "Müller"


def test_other_text_is_left_as_it_is() -> None:
    for text in ("", "A. Nnotator", "a=b", "P-1", "x@y.org", "1-2", "it's", "a, b"):
        assert as_text(text) == text


@pytest.mark.parametrize("name", FORMULAS)
def test_comments_of_an_annotation_file_are_one_line_without_a_formula(name: str, tmp_path: Path) -> None:
    events = (Event(10.0, 5.0, "seiz", 0.5),)
    write_csv_bi(tmp_path / "a.csv_bi", events, 20.0, name)
    lines = (tmp_path / "a.csv_bi").read_text().splitlines()
    assert lines[1].startswith("# bname = ")
    assert lines[4] == "channel,start_time,stop_time,label,confidence"
    assert not [cell for line in lines for cell in line.replace(";", ",").split(",") if cell[:1] in SIGNS]
    # The file is read as before.
    assert read_csv(tmp_path / "a.csv_bi") == events


@pytest.mark.parametrize("suffix", [".csv_bi", "_events.tsv", ".tse_bi"])
def test_no_cell_of_an_annotation_file_is_a_formula(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"=a,=b;=c{suffix}"
    write_detections(
        path, [Event(10.0, 5.0)], [Event(0.0, 2.0)], start=datetime(2020, 1, 1), duration_s=20.0, about={"model": "=m"}
    )
    for line in path.read_text().splitlines():
        assert not [cell for cell in line.replace(";", ",").replace("\t", ",").split(",") if cell[:1] in [*"=+-@"]]


@pytest.mark.parametrize("name", [*FORMULAS, "a\u2028=1", "a\x85=1"])
def test_no_comment_about_a_detector_is_a_formula(name: str, tmp_path: Path) -> None:
    path, about = tmp_path / "a.csv_bi", {"model": name, "training_corpus": name, "threshold": -0.5}
    write_detections(path, [Event(10.0, 5.0)], [], start=None, duration_s=20.0, about=about)
    lines = path.read_text().splitlines()
    assert [line.split(" = ")[0] for line in lines[1:4]] == ["# model", "# training_corpus", "# threshold"]
    assert lines[3] == "# threshold = -0.5"
    for separator in ",;|\t":
        assert not [cell for line in lines for cell in line.split(separator) if cell[:1] in [*SIGNS, "＝"] and cell]
    assert [(event.onset_s, event.end_s) for event in read_csv(path) if event.kind == "seiz"] == [(10.0, 15.0)]


def test_a_formula_in_a_comment_gets_an_apostrophe_and_other_text_none(tmp_path: Path) -> None:
    about = {"model": "ours,=1+1", "annotator": "A. Nnotator-1", "run": None}
    for suffix, model in ((".csv_bi", "ours,'=1+1"), (".tse_bi", "ours,=1+1")):
        path = tmp_path / f"a{suffix}"
        write_detections(path, [Event(10.0, 5.0)], [], start=None, duration_s=20.0, about=about)
        assert path.read_text().splitlines()[1:4] == [
            f"# model = {model}",
            "# annotator = A. Nnotator-1",
            "# run = unknown",
        ]
