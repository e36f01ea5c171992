"""Families declare what they compute, and a new one is a single file."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from aura.config.compose import compose
from aura.core.errors import InvalidInput
from aura.core.paths import CONF, PROJECT
from aura.core.series import RRSeries
from aura.features import FeatureSpec, FeatureStream, extract_features, feature_names, list_features
from aura.features.families import FAMILIES
from aura.features.family import Family
from aura.features.windows import NNWindows
from tests.support.checkout import copy_checkout, run_in_checkout

# Column order of registered models; a new family comes after these.
ORDER = [
    "time_domain",
    "poincare",
    "entropy",
    "frequency_domain",
    "robust",
    "pnn",
    "complexity",
    "jeppesen",
    "adaptive",
]
PNN_MS = (10.0, 30.0)


def parameters(family: Family) -> dict[str, tuple[float, ...]]:
    return dict.fromkeys(family.parameters, PNN_MS)


def test_families_are_in_their_declared_order() -> None:
    assert list(FAMILIES)[: len(ORDER)] == ORDER


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_computes_the_columns_it_declares(name: str) -> None:
    family = FAMILIES[name]
    windows = NNWindows.one(np.random.default_rng(0).normal(800, 40, 200))
    columns = family.compute(windows, **parameters(family))
    assert tuple(columns) == family.list_columns(parameters(family))
    assert all(len(column) == 1 and np.isfinite(column[0]) for column in columns.values())


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_needs_the_intervals_it_declares(name: str) -> None:
    family = FAMILIES[name]
    nn_ms = np.random.default_rng(0).normal(800, 40, family.min_intervals)
    for n, defined in ((family.min_intervals, True), (family.min_intervals - 1, False)):
        columns = family.compute(NNWindows.one(nn_ms[:n]), **parameters(family))
        # The last 30 s, of which hr_slope is the slope, have enough of them.
        columns.pop("hr_slope", None)
        # Sample entropy of few intervals may be undefined.
        if name != "entropy" or not defined:
            assert any(np.isfinite(column[0]) for column in columns.values()) == defined


def test_names_of_features_need_no_intervals() -> None:
    spec = compose(["features=all", "windows.lengths_s.time_domain=[10, 60]", "features.pnn_ms=[20]"]).feature_spec
    table = extract_features(RRSeries(np.zeros(0), np.zeros(0), 0.0), spec)
    assert list_features(spec) == feature_names(table)
    assert len(set(list_features(spec))) == len(list_features(spec))


def test_the_defaults_of_the_configuration_are_those_declared() -> None:
    lengths_s = yaml.safe_load((CONF / "windows/original.yaml").read_text())["lengths_s"]
    assert lengths_s == {name: list(FAMILIES[name].lengths_s) for name in lengths_s}
    assert compose(["features=all"]).features.families == list(FAMILIES)


def table() -> str:
    """The table of docs/features.md."""
    lines = [
        "| Family | Window | Features | Fewest intervals | Checked against, to nine digits | Sources |",
        "|---|---|---|---|---|---|",
    ]
    for name, family in FAMILIES.items():
        windows = ", ".join(f"{length_s:g} s" for length_s in family.lengths_s)
        columns = " ".join(family.list_columns(parameters(family)))
        sources = ", ".join(f"doi:{doi}" for doi in family.sources)
        cells = [f"`{name}`", windows, f"`{columns}`", str(family.min_intervals), family.equal_to, sources]
        lines.append(f"| {' | '.join(cells)} |")
    notes = [f"- `{name}`: {note}" for name, family in FAMILIES.items() for note in family.notes]
    return "\n".join([*lines, "", *notes])


def test_the_table_of_the_docs_is_that_of_the_declarations() -> None:
    page = (PROJECT / "docs/features.md").read_text(encoding="utf-8")
    missing = [line for line in table().splitlines() if line not in page]
    assert not missing, "docs/features.md lacks:\n" + "\n".join(missing)
    assert table() in page


WRONG = {
    "a word for an RR series": (lambda: extract_features("x", FeatureSpec()), "rr is of type str; allowed is an RRSer"),
    "a list for a specification": (
        lambda: extract_features(RRSeries([], [], 0.0), ["sdnn"]),
        "spec is of type list; allowed is a FeatureSpec",
    ),
    "a word for a stream": (lambda: FeatureStream("x"), "spec is of type str; allowed is a FeatureSpec"),
    "a word for windows": (lambda: FeatureSpec("entropy"), "lengths_s='entropy'; allowed are window lengths"),
    "names without windows": (lambda: FeatureSpec(["entropy"]), "lengths_s has 'entropy'; allowed are pairs"),
    "a number for windows": (lambda: FeatureSpec({"entropy": 60}), "lengths_s.entropy=60; allowed is a list"),
    "words for windows": (lambda: FeatureSpec({"entropy": ["60"]}), "lengths_s.entropy=.'60'.; allowed is a list"),
    "no such family": (lambda: FeatureSpec({"pulse": [60]}), "lengths_s: no feature family is called 'pulse'"),
    "a word for a step": (lambda: FeatureSpec(step_s="1"), "step_s='1' is not a number; allowed is 0.001 to 3600"),
    "no step": (lambda: FeatureSpec(step_s=0), "step_s=0 is out of range; allowed is 0.001 to 3600"),
    "a number for thresholds": (lambda: FeatureSpec({"pnn": [60]}, pnn_ms=10), "pnn_ms=10; allowed is a list"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_argument_is_refused_in_the_words_of_the_caller(what: str) -> None:
    call, says = WRONG[what]
    with pytest.raises(InvalidInput, match=f"^{says}"):
        call()  # type: ignore[no-untyped-call]


def test_lists_and_numpy_numbers_are_accepted() -> None:
    spec = FeatureSpec({"entropy": [np.int64(60)], "pnn": (60,)}, step_s=np.float32(5), pnn_ms=[10])  # type: ignore[arg-type]
    assert spec.lengths_s == (("entropy", (60.0,)), ("pnn", (60.0,)))
    assert spec.pnn_ms == (10.0,)
    assert hash(spec)


def test_former_names_still_work_with_a_warning() -> None:
    import aura.features

    with pytest.warns(DeprecationWarning, match=r"aura\.features\.extract is now called extract_features"):
        assert aura.features.extract is extract_features
    with pytest.warns(DeprecationWarning, match=r"aura\.features\.Stream is now called FeatureStream"):
        assert aura.features.Stream is FeatureStream


PAGE = (PROJECT / "docs/add-a-feature.md").read_text(encoding="utf-8")
NEW_FAMILY = PAGE.partition("```python\n")[2].partition("```")[0]
USE_OF_THE_NEW_FAMILY = """
import numpy as np
import pandas as pd
from aura.config.compose import compose
from aura.core.series import RRSeries
from aura.features import FeatureSpec, FeatureStream, extract_features, list_features

rr_ms = np.random.default_rng(0).normal(800, 40, 300)
rr = RRSeries(np.cumsum(rr_ms) / 1000, rr_ms, 250.0)
spec = compose(["features.families=[spread]", "windows.step_s=5"]).feature_spec
assert spec == FeatureSpec({"spread": [20]}, step_s=5.0)
table = extract_features(rr, spec)
inside = rr_ms[(rr.t_s > 80) & (rr.t_s <= 100)]
assert np.isclose(table["relative_range__20s"][19], (inside.max() - inside.min()) / inside.mean())
stream = FeatureStream(spec)
rows = [stream.push(t_s, rr_ms) for t_s, rr_ms in zip(rr.t_s, rr.rr_ms)]
pd.testing.assert_frame_equal(pd.concat([*rows, stream.advance(rr.duration_s)], ignore_index=True), table)
everything = compose(["features=all"])
assert everything.features.families[-1] == "spread"
print(list_features(everything.feature_spec)[-1])
"""


@pytest.mark.slow
def test_a_family_is_added_by_one_file(tmp_path: Path) -> None:
    """Two with its row in the table of docs/features.md."""
    checkout = copy_checkout(tmp_path)
    (checkout / "aura/features/families/spread.py").write_text(NEW_FAMILY)
    assert run_in_checkout(checkout, USE_OF_THE_NEW_FAMILY).split() == ["relative_range__20s"]
