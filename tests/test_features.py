"""Features against hrv-analysis called by hand, and what has to hold of any features."""

import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace

import neurokit2
import numpy as np
import pandas as pd
import pytest

from aura.errors import AuraError
from aura.features import FeatureSpec, extract, feature_names
from aura.features.reference import FUNCTIONS, hrvanalysis
from aura.rr import clean
from aura.types import Floats, RRSeries

SPEC = FeatureSpec(
    lengths_s=(
        ("time_domain", (10.0, 30.0)),
        ("poincare", (60.0,)),
        ("entropy", (60.0,)),
        ("frequency_domain", (150.0,)),
    ),
    step_s=5.0,
    min_coverage=0.5,
    low_ms=300.0,
    high_ms=1800.0,
    max_change=0.2,
)


def heart(seed: int, n: int = 500, noise_ms: float = 30) -> RRSeries:
    rng = np.random.default_rng(seed)
    rr_ms = 800 + 60 * np.sin(np.arange(n) / 4) + rng.normal(0, noise_ms, n)
    rr_ms[rng.integers(0, n, 8)] *= 0.6
    t_s = np.cumsum(rr_ms) / 1000
    return RRSeries(t_s, rr_ms, float(t_s[-1]))


def by_hand(rr: RRSeries, length_s: float, compute: Callable[[list[float]], dict[str, float]]) -> pd.DataFrame:
    nn = clean(rr, low_ms=300, high_ms=1800, max_change=0.2)
    rows = []
    for end_s in np.arange(SPEC.step_s, rr.duration_s + 1e-9, SPEC.step_s):
        inside = (nn.t_s > end_s - length_s) & (nn.t_s <= end_s)
        window = nn.nn_ms[inside].tolist()
        enough = sum(window) >= 0.5 * length_s * 1000
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            rows.append(compute(window) if enough else {})
    # Sample entropy is infinite where nothing repeats: not enough beats, so missing.
    return pd.DataFrame(rows).replace([np.inf, -np.inf], np.nan)


@pytest.mark.parametrize("noise_ms", [5, 80])
@pytest.mark.parametrize(
    ("function", "length_s"),
    [
        ("get_time_domain_features", 10),
        ("get_time_domain_features", 30),
        ("get_poincare_plot_features", 60),
        ("get_csi_cvi_features", 60),
        ("get_sampen", 60),
        ("get_frequency_domain_features", 150),
    ],
)
def test_each_feature_is_that_of_hrv_analysis(function: str, length_s: int, noise_ms: float) -> None:
    rr = heart(1, noise_ms=noise_ms)
    ours = extract(rr, SPEC)
    theirs = by_hand(rr, length_s, getattr(hrvanalysis(), function))
    compared = 0
    for name in theirs.columns:
        column = f"{name}__{length_s}s"
        if column in ours:
            np.testing.assert_allclose(ours[column], theirs[name].astype(float), rtol=1e-9)
            compared += 1
    assert compared >= 1
    assert theirs.notna().any().all()


SPECS_AND_HEARTS = [
    (length_s, step_s, seed, noise_ms)
    for length_s, step_s in ((10.0, 1.0), (30.0, 3.0), (64.0, 7.0), (150.0, 5.0), (300.0, 20.0))
    for seed, noise_ms in ((11, 2), (12, 30), (13, 150))
]


@pytest.mark.parametrize(("length_s", "step_s", "seed", "noise_ms"), SPECS_AND_HEARTS)
def test_both_engines_give_the_same(length_s: float, step_s: float, seed: int, noise_ms: float) -> None:
    spec = replace(SPEC, lengths_s=tuple((family, (length_s,)) for family in FUNCTIONS), step_s=step_s)
    rr = heart(seed, noise_ms=noise_ms)
    ours, theirs = extract(rr, spec), extract(rr, replace(spec, engine="hrv_analysis"))
    assert list(ours) == list(theirs)
    # The same where they are missing, too.
    pd.testing.assert_frame_equal(ours, theirs, rtol=1e-9, atol=0)
    assert len(feature_names(ours)) == 27


@pytest.mark.parametrize("noise_ms", [2, 30, 150])
def test_further_features_are_those_of_neurokit(noise_ms: float) -> None:
    rr = heart(21, noise_ms=noise_ms)
    spec = replace(SPEC, lengths_s=(("robust", (30.0,)), ("complexity", (60.0,))), step_s=10.0)
    ours = extract(rr, spec)
    nn = clean(rr, low_ms=300, high_ms=1800, max_change=0.2)
    names = {"mad_nni": "MadNN", "mcv_nni": "MCVNN", "iqr_nni": "IQRNN", "prc20_nni": "Prc20NN", "prc80_nni": "Prc80NN"}
    names |= {"sdnn_rmssd_ratio": "SDRMSSD", "triangular_index": "HTI"}
    for row in ours[ours["t_s"] >= 60].itertuples():
        short = nn.nn_ms[(nn.t_s > row.t_s - 30) & (nn.t_s <= row.t_s)]
        with warnings.catch_warnings():
            # Of parts of an hour, which such windows do not have.
            warnings.simplefilter("ignore", RuntimeWarning)
            theirs = neurokit2.hrv_time({"RRI": short})
        for name, called in names.items():
            assert getattr(row, f"{name}__30s") == pytest.approx(theirs[f"HRV_{called}"].iloc[0], rel=1e-9)
        long = nn.nn_ms[(nn.t_s > row.t_s - 60) & (nn.t_s <= row.t_s)]
        assert row.apen__60s == pytest.approx(neurokit2.entropy_approximate(long)[0], rel=1e-9)
        assert row.permutation_entropy__60s == pytest.approx(neurokit2.entropy_permutation(long)[0], rel=1e-9)


def test_adaptive_features_are_what_they_say() -> None:
    rr = heart(22)
    ours = extract(rr, replace(SPEC, lengths_s=(("adaptive", (120.0,)),), step_s=10.0))
    nn = clean(rr, low_ms=300, high_ms=1800, max_change=0.2)
    for row in ours[ours["t_s"] >= 120].itertuples():
        base, now, rise = ((nn.t_s > row.t_s - length_s) & (nn.t_s <= row.t_s) for length_s in (120, 10, 30))
        long, short = nn.nn_ms[base], nn.nn_ms[now]
        expected = {
            "hr_ratio": np.mean(60000 / short) / np.mean(60000 / long),
            "mean_nni_z": (short.mean() - long.mean()) / long.std(ddof=1),
            "sdnn_ratio": short.std(ddof=1) / long.std(ddof=1),
            "rmssd_ratio": np.sqrt(np.mean(np.diff(short) ** 2) / np.mean(np.diff(long) ** 2)),
            "hr_slope": np.polyfit(nn.t_s[rise], 60000 / nn.nn_ms[rise], 1)[0],
        }
        for name, value in expected.items():
            assert getattr(row, f"{name}__120s") == pytest.approx(value, rel=1e-9)


def test_jeppesens_indices_are_what_they_say() -> None:
    rr = heart(23)
    ours = extract(rr, replace(SPEC, lengths_s=(("jeppesen", (150.0,)),), step_s=10.0))
    nn = clean(rr, low_ms=300, high_ms=1800, max_change=0.2)
    compared = 0
    for row in ours.itertuples():
        last = nn.nn_ms[(nn.t_s > row.t_s - 150) & (nn.t_s <= row.t_s)]
        if len(last) < 106:
            assert np.isnan(row.csi100_slope__150s)
            continue
        smooth = np.array([np.median(last[i - 6 : i + 1]) for i in range(len(last) - 100, len(last))])
        steepness = abs(np.polyfit(np.cumsum(smooth) / 1000, smooth, 1)[0])
        theirs = hrvanalysis().get_csi_cvi_features
        assert row.csi100_slope__150s == pytest.approx(theirs(last[-100:])["csi"] * steepness, rel=1e-9)
        modified = theirs(smooth)["Modified_csi"] * steepness
        assert row.modified_csi100_slope__150s == pytest.approx(modified, rel=1e-9)
        compared += 1
    assert compared > 10


def test_the_reference_engine_has_no_further_families() -> None:
    with pytest.raises(AuraError, match=r"features\.engine=hrv_analysis has no robust"):
        FeatureSpec((("robust", (60.0,)),), 5.0, 0.5, 300, 1800, 0.2, "hrv_analysis")


def test_importing_aura_does_not_import_numba() -> None:
    code = "import sys, aura.config, aura.features, aura.serving; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_originals_27_features_are_there() -> None:
    columns = feature_names(extract(heart(2), SPEC))
    assert len({name.split("__")[0] for name in columns}) == 27


def test_later_beats_change_no_row_before_them() -> None:
    longer = heart(3)
    for n in (100, 203, 377):
        shorter = RRSeries(longer.t_s[:n].copy(), longer.rr_ms[:n].copy(), float(longer.t_s[n - 1]))
        rows = extract(shorter, SPEC)
        pd.testing.assert_frame_equal(rows, extract(longer, SPEC).iloc[: len(rows)])


def test_a_shift_by_whole_steps_shifts_the_rows() -> None:
    rr = heart(4)
    later = RRSeries(rr.t_s + 600.0, rr.rr_ms.copy(), rr.duration_s + 600.0)
    rows, shifted = extract(rr, SPEC), extract(later, SPEC)
    np.testing.assert_allclose(shifted.iloc[120:, 1:], rows.iloc[:, 1:], rtol=1e-9)
    # Before the first beat nothing is known, and it is not made up.
    assert shifted.loc[:119, feature_names(shifted)].isna().all(axis=None)
    assert (shifted["coverage"][:120] == 0).all()


@pytest.mark.parametrize("rr_ms", [np.full(400, 800.0), np.array([800.0]), np.empty(0), np.full(400, 299.0)])
def test_what_cannot_be_computed_is_missing_never_infinite(rr_ms: Floats) -> None:
    t_s = np.cumsum(rr_ms) / 1000
    rows = extract(RRSeries(t_s, rr_ms, 320.0), SPEC)
    assert len(rows) == 64
    assert not np.isinf(rows.to_numpy()).any()


def test_a_gap_leaves_windows_without_features() -> None:
    rr = heart(5)
    kept = (rr.t_s < 100) | (rr.t_s > 200)
    rows = extract(RRSeries(rr.t_s[kept], rr.rr_ms[kept], rr.duration_s), SPEC).set_index("t_s")
    assert rows.loc[110:195, "mean_nni__10s"].isna().all()
    assert rows.loc[210, "mean_nni__10s"] > 0


def test_a_window_shorter_than_its_step_is_refused() -> None:
    with pytest.raises(AuraError, match=r"windows\.lengths_s\.entropy: a window of 2 s is shorter"):
        FeatureSpec((("entropy", (2.0,)),), 5.0, 0.5, 300, 1800, 0.2)


def test_a_specification_survives_json() -> None:
    assert FeatureSpec.from_dict(SPEC.to_dict()) == SPEC
