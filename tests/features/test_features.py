"""Features against hrv-analysis called by hand, and properties of all features."""

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from aura.config.compose import compose
from aura.core.arrays import Floats
from aura.core.errors import AuraError
from aura.core.files import digest
from aura.core.series import RRSeries
from aura.ecg.intervals import clean_intervals
from aura.features import FeatureSpec, extract_features, feature_names
from aura.features.families import FAMILIES
from aura.features.families.complexity import complexity
from aura.features.families.entropy import entropy
from aura.features.families.frequency_domain import frequency_domain
from aura.features.hrv_analysis import import_hrvanalysis, reference
from aura.features.spec import CLEANINGS, ORIGINAL
from aura.features.windows import NNWindows

# Limits of hrv-analysis, and of the original system.
ORIGINAL_LIMITS = {"low_ms": 300.0, "high_ms": 1800.0, "max_change": 0.2}
SPEC = FeatureSpec(
    lengths_s=(
        ("time_domain", (10.0, 30.0)),
        ("poincare", (60.0,)),
        ("entropy", (60.0,)),
        ("frequency_domain", (150.0,)),
    ),
    step_s=5.0,
    min_coverage=0.5,
    **ORIGINAL_LIMITS,
)


def heart(seed: int, n: int = 500, noise_ms: float = 30) -> RRSeries:
    rng = np.random.default_rng(seed)
    rr_ms = 800 + 60 * np.sin(np.arange(n) / 4) + rng.normal(0, noise_ms, n)
    rr_ms[rng.integers(0, n, 8)] *= 0.6
    t_s = np.cumsum(rr_ms) / 1000
    return RRSeries(t_s, rr_ms, float(t_s[-1]))


def by_hand(rr: RRSeries, length_s: float, compute: Callable[[list[float]], dict[str, float]]) -> pd.DataFrame:
    nn = clean_intervals(rr, **ORIGINAL_LIMITS)
    rows = []
    for end_s in np.arange(SPEC.step_s, rr.duration_s + 1e-9, SPEC.step_s):
        inside = (nn.t_s > end_s - length_s) & (nn.t_s <= end_s)
        window = nn.nn_ms[inside].tolist()
        enough = sum(window) >= 0.5 * length_s * 1000
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            rows.append(compute(window) if enough else {})
    # Sample entropy is infinite if no template repeats; here it is missing.
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
def test_each_feature_equals_hrv_analysis(function: str, length_s: int, noise_ms: float) -> None:
    rr = heart(1, noise_ms=noise_ms)
    ours = extract_features(rr, SPEC)
    theirs = by_hand(rr, length_s, getattr(import_hrvanalysis(), function))
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
def test_both_engines_agree(length_s: float, step_s: float, seed: int, noise_ms: float) -> None:
    spec = replace(SPEC, lengths_s=tuple((family, (length_s,)) for family, _ in ORIGINAL), step_s=step_s)
    rr = heart(seed, noise_ms=noise_ms)
    ours, theirs = extract_features(rr, spec), extract_features(rr, replace(spec, engine="hrv_analysis"))
    assert list(ours) == list(theirs)
    # Missing values are compared as well.
    pd.testing.assert_frame_equal(ours, theirs, rtol=1e-9, atol=0)
    assert len(feature_names(ours)) == 27


@pytest.mark.parametrize(
    "nn_ms",
    [
        600 + 600 * np.linspace(0, 1, 200) ** 2,
        900 + 200 * np.sin(np.arange(200) / 60),
        900 + 200 * np.sin(np.arange(200) * 1.5),
        np.where(np.arange(200) < 100, 700.0, 1100.0),
    ],
    ids=["trend", "slow", "fast", "step"],
)
def test_a_weak_band_beside_a_strong_one_keeps_nine_digits(nn_ms: Floats) -> None:
    windows = NNWindows.one(nn_ms)
    ours, theirs = frequency_domain(windows), reference(FAMILIES["frequency_domain"])(windows)
    assert list(ours) == ["lf", "hf", "vlf", "lf_hf_ratio"]
    for name, values in ours.items():
        np.testing.assert_allclose(values, theirs[name], rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("noise_ms", [2, 30, 150])
def test_robust_and_complexity_features_equal_neurokit(noise_ms: float) -> None:
    import neurokit2

    rr = heart(21, noise_ms=noise_ms)
    spec = replace(SPEC, lengths_s=(("robust", (30.0,)), ("complexity", (60.0,))), step_s=10.0)
    ours = extract_features(rr, spec)
    nn = clean_intervals(rr, **ORIGINAL_LIMITS)
    names = {"mad_nni": "MadNN", "mcv_nni": "MCVNN", "iqr_nni": "IQRNN", "prc20_nni": "Prc20NN", "prc80_nni": "Prc80NN"}
    names |= {"sdnn_rmssd_ratio": "SDRMSSD", "triangular_index": "HTI"}
    for row in ours[ours["t_s"] >= 60].itertuples():
        short = nn.nn_ms[(nn.t_s > row.t_s - 30) & (nn.t_s <= row.t_s)]
        with warnings.catch_warnings():
            # Warnings about parts of an hour, which such windows do not have.
            warnings.simplefilter("ignore", RuntimeWarning)
            theirs = neurokit2.hrv_time({"RRI": short})
        for name, called in names.items():
            assert getattr(row, f"{name}__30s") == pytest.approx(theirs[f"HRV_{called}"].iloc[0], rel=1e-9)
        long = nn.nn_ms[(nn.t_s > row.t_s - 60) & (nn.t_s <= row.t_s)]
        assert row.apen__60s == pytest.approx(neurokit2.entropy_approximate(long)[0], rel=1e-9)
        assert row.permutation_entropy__60s == pytest.approx(neurokit2.entropy_permutation(long)[0], rel=1e-9)
        assert row.dfa_alpha1__60s == pytest.approx(neurokit2.fractal_dfa(long, scale=np.arange(4, 17))[0], rel=1e-9)


@pytest.mark.slow
def test_entropies_equal_antropy() -> None:
    import antropy

    rr = heart(24)
    ours = extract_features(rr, replace(SPEC, lengths_s=(("complexity", (60.0,)),), step_s=10.0))
    nn = clean_intervals(rr, **ORIGINAL_LIMITS)
    for row in ours[ours["t_s"] >= 60].itertuples():
        window = nn.nn_ms[(nn.t_s > row.t_s - 60) & (nn.t_s <= row.t_s)]
        tolerance = 0.2 * window.std(ddof=1)
        assert row.apen__60s == pytest.approx(antropy.app_entropy(window, tolerance=tolerance), rel=1e-9)
        assert row.permutation_entropy__60s == pytest.approx(antropy.perm_entropy(window, normalize=True), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("n", [10, 15, 16, 17, 31, 32, 33, 34, 35, 64, 65, 100, 300])
def test_entropies_equal_the_libraries_for_any_number_of_intervals(n: int) -> None:
    """For numbers around the block sizes; in steps of 4 ms, so that many distances are equal."""
    import antropy

    rng = np.random.default_rng(n)
    nn_ms = np.round((800 + 40 * np.sin(np.arange(n) / 3) + rng.normal(0, 15, n)) / 4) * 4
    windows = NNWindows.one(nn_ms)
    with warnings.catch_warnings():
        # Among few intervals, no template may repeat.
        warnings.simplefilter("ignore", RuntimeWarning)
        theirs = import_hrvanalysis().get_sampen(nn_ms)["sampen"]
    np.testing.assert_allclose(entropy(windows)["sampen"], theirs if np.isfinite(theirs) else np.nan, rtol=1e-9)
    # For few intervals it may be negative; NeuroKit2 drops the sign.
    approximate = antropy.app_entropy(nn_ms, tolerance=0.2 * nn_ms.std(ddof=1))
    assert complexity(windows)["apen"] == pytest.approx(approximate, rel=1e-9)


def test_pnn_equals_counting() -> None:
    rr = heart(25)
    spec = replace(SPEC, lengths_s=(("time_domain", (30.0,)), ("pnn", (30.0,))), pnn_ms=(1.0, 7.5, 20.0, 50.0, 1500.0))
    ours = extract_features(rr, spec)
    # Thresholds of hrv-analysis share its column, which is compared above.
    assert ours.columns.is_unique
    nn = clean_intervals(rr, **ORIGINAL_LIMITS)
    for row in ours[ours["t_s"] >= 30].to_dict("records"):
        differences = np.abs(np.diff(nn.nn_ms[(nn.t_s > row["t_s"] - 30) & (nn.t_s <= row["t_s"])]))
        for threshold in spec.pnn_ms:
            expected = 100 * np.mean(differences > threshold)
            assert row[f"pnni_{threshold:g}__30s"] == pytest.approx(expected, rel=1e-9)


def five(nn_ms: Floats) -> dict[str, float]:
    """The features that are compared with the baseline, computed by hrv-analysis."""
    library = import_hrvanalysis()
    all_of_them = {
        **library.get_time_domain_features(nn_ms),
        **library.get_csi_cvi_features(nn_ms),
    }
    return {name: all_of_them[name] for name in ("mean_hr", "sdnn", "rmssd", "csi", "Modified_csi")}


def test_adaptive_features_equal_their_definition() -> None:
    rr = heart(22)
    ours = extract_features(rr, replace(SPEC, lengths_s=(("adaptive", (120.0,)),), step_s=10.0))
    nn = clean_intervals(rr, **ORIGINAL_LIMITS)

    def between(begin_s: float, end_s: float) -> Floats:
        return nn.nn_ms[(nn.t_s > begin_s) & (nn.t_s <= end_s)]

    compared = 0
    for row in ours[ours["t_s"] >= 120].to_dict("records"):
        t_s = row["t_s"]
        base, now = five(between(t_s - 120, t_s)), five(between(t_s - 10, t_s))
        pieces = pd.DataFrame([five(between(end_s - 10, end_s)) for end_s in t_s - np.arange(10, 120, 10)])
        for name in base:
            assert row[f"{name}_ratio__120s"] == pytest.approx(now[name] / base[name], rel=1e-9)
            z = (now[name] - pieces[name].mean()) / pieces[name].std()
            assert row[f"{name}_z__120s"] == pytest.approx(z, rel=1e-9)
        rise = (nn.t_s > t_s - 30) & (nn.t_s <= t_s)
        slope = np.polyfit(nn.t_s[rise], 60000 / nn.nn_ms[rise], 1)[0]
        assert row["hr_slope__120s"] == pytest.approx(slope, rel=1e-9)
        compared += 1
    assert compared > 10


def test_a_stretch_without_beats_has_no_features() -> None:
    rr_ms = np.random.default_rng(0).normal(500, 20, 800)
    t_s = np.cumsum(rr_ms) / 1000
    t_s[400:] += 200.0
    rr, spec = RRSeries(t_s, rr_ms, 600.0), replace(SPEC, step_s=1.0)
    rows = extract_features(rr, spec)
    described = rows[feature_names(rows)].notna().any(axis=1).to_numpy()
    silent = ((rows["t_s"] > t_s[399] + 5.5) & (rows["t_s"] < t_s[400] - 0.5)).to_numpy()
    assert not described[silent].any()
    assert described[(rows["t_s"] > 5) & (rows["t_s"] < t_s[399] + 4.5)].all()
    # Without a minimum coverage they have features, as in the original system.
    all_rows = extract_features(rr, replace(spec, min_coverage=0.0))
    assert all_rows.loc[silent, "lf__150s"].notna().sum() > 60
    # Ectopic beats reduce the coverage of a window, but are not silence.
    irregular_ms = np.where(np.arange(800) % 2, 400.0, 800.0)
    irregular = extract_features(
        RRSeries(np.cumsum(irregular_ms) / 1000, irregular_ms, 481.0), replace(spec, min_coverage=0.6)
    )
    assert irregular["mean_nni__10s"].notna().sum() > 400
    assert irregular["coverage"].iloc[200] < 0.7


def test_a_constant_baseline_has_no_z_score() -> None:
    rr_ms = np.full(600, 810.1)
    t_s = np.cumsum(rr_ms) / 1000
    rows = extract_features(RRSeries(t_s, rr_ms, 490.0), replace(SPEC, lengths_s=(("adaptive", (300.0,)),)))
    assert rows.filter(like="_z__").isna().all(axis=None)
    assert rows["mean_hr_ratio__300s"].iloc[-1] == pytest.approx(1)


def test_jeppesens_indices_equal_their_definition() -> None:
    rr = heart(23)
    ours = extract_features(rr, replace(SPEC, lengths_s=(("jeppesen", (150.0,)),), step_s=10.0))
    nn = clean_intervals(rr, **ORIGINAL_LIMITS)
    compared = 0
    for row in ours.itertuples():
        last = nn.nn_ms[(nn.t_s > row.t_s - 150) & (nn.t_s <= row.t_s)]
        if len(last) < 106:
            assert np.isnan(row.csi100_slope__150s)
            continue
        smooth = np.array([np.median(last[i - 6 : i + 1]) for i in range(len(last) - 100, len(last))])
        steepness = abs(np.polyfit(np.cumsum(smooth) / 1000, smooth, 1)[0])
        theirs = import_hrvanalysis().get_csi_cvi_features
        assert row.csi100_slope__150s == pytest.approx(theirs(last[-100:])["csi"] * steepness, rel=1e-9)
        modified = theirs(smooth)["Modified_csi"] * steepness
        assert row.modified_csi100_slope__150s == pytest.approx(modified, rel=1e-9)
        compared += 1
    assert compared > 10


WINDOWS = ((10.0, 3.0, 0.05), (30.0, 5.0, 0.2), (60.0, 7.0, 0.5))


@pytest.mark.parametrize(("length_s", "step_s", "spoiled"), WINDOWS)
def test_cleaning_each_window_equals_hrv_analysis(length_s: float, step_s: float, spoiled: float) -> None:
    """All features of windows that hrv-analysis itself cleaned, with many wrong intervals."""
    rng = np.random.default_rng(31)
    rr_ms = heart(31).rr_ms.copy()
    wrong = rng.random(len(rr_ms)) < spoiled
    rr_ms[wrong] *= rng.choice([0.2, 0.6, 1.5, 3.0], wrong.sum())
    t_s = np.cumsum(rr_ms) / 1000
    rr = RRSeries(t_s, rr_ms, float(t_s[-1]))
    # The defaults of hrv-analysis are 2000 ms and another rule.
    cleaning = {"low_rri": 300, "high_rri": 1800, "ectopic_beats_removal_method": "malik", "verbose": False}
    lengths_s = tuple((family, (length_s,)) for family, _ in ORIGINAL)
    spec = replace(SPEC, lengths_s=lengths_s, step_s=step_s, cleaning="hrv_analysis", min_coverage=0.0)
    ours = extract_features(rr, spec)
    compared = 0
    for row in ours.to_dict("records"):
        window = rr_ms[(t_s > row["t_s"] - length_s) & (t_s <= row["t_s"])]
        if not len(window) or not ((window >= 300) & (window <= 1800)).any():
            assert np.isnan(row[f"mean_nni__{length_s:g}s"])
            continue
        nn = np.array(import_hrvanalysis().get_nn_intervals(window.tolist(), **cleaning))
        unchanged = nn == window
        assert row["corrected"] == pytest.approx(1 - unchanged.mean())
        assert row["coverage"] == pytest.approx(min(window[unchanged].sum() / length_s / 1000, 1))
        for family, _ in ORIGINAL:
            if len(nn) >= FAMILIES[family].min_intervals:
                for name, values in reference(FAMILIES[family])(NNWindows.one(nn)).items():
                    value = values[0] if np.isfinite(values[0]) else np.nan
                    assert row[f"{name}__{length_s:g}s"] == pytest.approx(value, rel=1e-9, nan_ok=True)
                    compared += 1
    assert compared > 1000


def test_both_cleanings_agree_on_clean_intervals() -> None:
    rr_ms = np.random.default_rng(32).normal(800, 20, 500)
    t_s = np.cumsum(rr_ms) / 1000
    rr = RRSeries(t_s, rr_ms, float(t_s[-1]))
    ours, theirs = extract_features(rr, SPEC), extract_features(rr, replace(SPEC, cleaning="hrv_analysis"))
    pd.testing.assert_frame_equal(ours, theirs, rtol=1e-12, atol=0)
    assert (ours["corrected"].dropna() == 0).all()


def test_corrected_is_the_share_of_dropped_intervals() -> None:
    rr = heart(33)
    rows = extract_features(rr, replace(SPEC, lengths_s=(("time_domain", (30.0,)),)))
    nn = clean_intervals(rr, **ORIGINAL_LIMITS)
    for row in rows.itertuples():
        n_rr, n_nn = (np.sum((t_s > row.t_s - 30) & (t_s <= row.t_s)) for t_s in (rr.t_s, nn.t_s))
        assert row.corrected == pytest.approx(1 - n_nn / n_rr)
    assert rows["corrected"].max() > 0


# Power of the factor by which a feature changes if all intervals and windows are stretched.
POWERS = {
    **dict.fromkeys(["mean_nni", "sdnn", "sdsd", "rmssd", "median_nni", "range_nni", "sd1", "sd2", "Modified_csi"], 1),
    **dict.fromkeys(["mad_nni", "iqr_nni", "prc20_nni", "prc80_nni"], 1),
    **dict.fromkeys(["cvsd", "cvnni", "ratio_sd2_sd1", "csi", "sampen", "mcv_nni", "sdnn_rmssd_ratio"], 0),
    **dict.fromkeys(["apen", "permutation_entropy", "dfa_alpha1", "csi100_slope"], 0),
    **dict.fromkeys(["mean_hr", "max_hr", "min_hr", "std_hr"], -1),
    "modified_csi100_slope": 1,
}


@pytest.mark.parametrize("factor", [0.75, 1.5])
def test_features_scale_with_the_intervals_by_their_unit(factor: float) -> None:
    families = {"time_domain": 30.0, "poincare": 60.0, "entropy": 60.0, "robust": 30.0, "complexity": 60.0}
    families["jeppesen"] = 150.0
    rr = heart(34)
    scaled = RRSeries(rr.t_s * factor, rr.rr_ms * factor, rr.duration_s * factor)
    spec = replace(SPEC, lengths_s=tuple((name, (length_s,)) for name, length_s in families.items()))
    longer = tuple((name, (length_s * factor,)) for name, length_s in families.items())
    one, other = (
        extract_features(rr, spec),
        extract_features(scaled, replace(spec, lengths_s=longer, step_s=spec.step_s * factor)),
    )
    seen = set()
    for name, column in zip(feature_names(one), feature_names(other), strict=True):
        power = POWERS.get(name.split("__")[0])
        if power is not None:
            np.testing.assert_allclose(other[column], one[name] * factor**power, rtol=1e-9)
            seen.add(name.split("__")[0])
    assert seen == set(POWERS)


def test_the_reference_engine_has_the_original_families_only() -> None:
    with pytest.raises(AuraError, match=r"^engine=hrv_analysis has no robust"):
        FeatureSpec((("robust", (60.0,)),), 5.0, 0.5, 300, 1800, 0.2, "hrv_analysis")


@pytest.mark.slow
def test_importing_aura_does_not_import_numba() -> None:
    code = "import sys, aura.config.compose, aura.features, aura.serving.pyfunc; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_no_digit_depends_on_the_process_that_compiled(tmp_path: Path) -> None:
    """Later processes load what the first one compiled; antropy compiles on import."""
    code = """
import importlib, sys
import numpy as np
for name in sys.argv[1:]:
    importlib.import_module(name)
from aura.features import FeatureSpec, extract_features
from aura.features.families import FAMILIES
from aura.core.parquet import frame_digest
from aura.core.series import RRSeries
rr_ms = np.random.default_rng(1).normal(800, 40, 500)
rr = RRSeries(np.cumsum(rr_ms) / 1000, rr_ms, 400.0)
for family in FAMILIES:
    # Jeppesen's indices need 106 intervals.
    rows = extract_features(rr, FeatureSpec(((family, (120.0,)),), step_s=5.0, pnn_ms=(10.0,) * (family == "pnn")))
    assert rows.iloc[-1].notna().all(), family
    print(family, frame_digest(rows))
"""
    found = set()
    for cache, *names in (["alone"], ["alone"], ["after", "antropy"]):
        env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / cache)}
        command = [sys.executable, "-c", code, *names]
        found.add(subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE).stdout)
    assert len(found) == 1, found


@pytest.mark.slow
def test_no_kernel_reads_or_writes_outside_its_arrays(tmp_path: Path) -> None:
    """Compiled code reads and writes beyond the end of an array silently, unless numba checks the bounds."""
    code = """
import numpy as np
from aura.features import FeatureSpec, extract_features
from aura.features.families import FAMILIES
from aura.core.series import RRSeries
for seed in range(200):
    rng = np.random.default_rng(seed)
    n = int(rng.choice([0, 1, 9, 10, 12, 30, 100, 700]))
    rr_ms = np.clip(rng.choice([400, 800, 1800]) + rng.normal(0, rng.choice([0, 1, 30, 200]), n), 250, 5000)
    pauses_s = np.where(rng.random(n) < 0.03, rng.uniform(0, 200, n), 0)
    t_s = np.cumsum(rr_ms) / 1000 + np.cumsum(pauses_s) * rng.integers(2)
    rr = RRSeries(t_s, rr_ms, t_s.max(initial=0) + rng.choice([0, 0.3, 10, 400]))
    lengths_s = tuple((family, (float(rng.choice([60, 64, 150, 300, 700])),)) for family in FAMILIES)
    cleaning, step_s = str(rng.choice(["gap_aware", "hrv_analysis"])), float(rng.choice([0.7, 1, 10]))
    coverage = float(rng.choice([0, 0.5]))
    spec = FeatureSpec(lengths_s, step_s=step_s, min_coverage=coverage, cleaning=cleaning, pnn_ms=(10.0, 30.0))
    extract_features(rr, spec)
"""
    env = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=env, check=True)


def test_the_original_system_has_27_features() -> None:
    columns = feature_names(extract_features(heart(2), SPEC))
    assert len({name.split("__")[0] for name in columns}) == 27


def test_later_beats_change_no_earlier_row() -> None:
    longer = heart(3)
    for n in (100, 203, 377):
        shorter = RRSeries(longer.t_s[:n].copy(), longer.rr_ms[:n].copy(), float(longer.t_s[n - 1]))
        rows = extract_features(shorter, SPEC)
        pd.testing.assert_frame_equal(rows, extract_features(longer, SPEC).iloc[: len(rows)])


def test_a_shift_by_whole_steps_shifts_the_rows() -> None:
    rr = heart(4)
    later = RRSeries(rr.t_s + 600.0, rr.rr_ms.copy(), rr.duration_s + 600.0)
    rows, shifted = extract_features(rr, SPEC), extract_features(later, SPEC)
    np.testing.assert_allclose(shifted.iloc[120:, 1:], rows.iloc[:, 1:], rtol=1e-9)
    # Before the first beat, nothing is known.
    assert shifted.loc[:119, feature_names(shifted)].isna().all(axis=None)
    assert (shifted["coverage"][:120] == 0).all()


@pytest.mark.parametrize("rr_ms", [np.full(400, 800.0), np.array([800.0]), np.empty(0), np.full(400, 299.0)])
def test_undefined_features_are_missing_and_never_infinite(rr_ms: Floats) -> None:
    t_s = np.cumsum(rr_ms) / 1000
    rows = extract_features(RRSeries(t_s, rr_ms, 320.0), SPEC)
    assert len(rows) == 64
    assert not np.isinf(rows.to_numpy()).any()


def test_a_gap_leaves_windows_without_features() -> None:
    rr = heart(5)
    kept = (rr.t_s < 100) | (rr.t_s > 200)
    rows = extract_features(RRSeries(rr.t_s[kept], rr.rr_ms[kept], rr.duration_s), SPEC).set_index("t_s")
    assert rows.loc[110:195, "mean_nni__10s"].isna().all()
    assert rows.loc[210, "mean_nni__10s"] > 0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"lengths_s": (("entropy", (2.0,)),)}, r"^lengths_s\.entropy: a window of 2 s is shorter"),
        ({"lengths_s": ()}, r"^lengths_s is empty"),
        ({"lengths_s": (("entropy", ()),)}, r"^lengths_s\.entropy is empty"),
        ({"lengths_s": (("entropy", (60.0,)), ("entropy", (90.0,)))}, "names something twice"),
        ({"lengths_s": (("entropy", (60.0, 60.0000001)),)}, "names something twice"),
        ({"lengths_s": (("adaptive", (30.0,)),)}, "a window of 30 s; allowed are 60 to 86400 s"),
        ({"lengths_s": (("jeppesen", (20.0,)),)}, "a window of 20 s; allowed are 26 to 86400 s"),
        ({"lengths_s": (("entropy", (float("inf"),)),)}, "a window of inf s; allowed are 0 to 86400 s"),
        ({"lengths_s": (("pnn", (60.0,)),), "pnn_ms": ()}, r"^pnn_ms=\[\]; allowed are"),
        ({"lengths_s": (("pnn", (60.0,)),), "pnn_ms": (0.05,)}, "allowed are thresholds from 1 ms on"),
        ({"lengths_s": (("pnn", (60.0,)),), "pnn_ms": (10.0, 10.0)}, "names something twice"),
        ({"min_coverage": 50.0}, r"^min_coverage=50 is out of range; allowed is 0 to 1"),
        ({"low_ms": 0.3, "high_ms": 1.8}, r"^low_ms=0\.3 is out of range"),
        ({"low_ms": 1800.0}, "^low_ms is not below high_ms"),
        ({"engine": "fast"}, r"^engine=fast; allowed are compiled, hrv_analysis"),
        ({"cleaning": "none"}, r"^cleaning=none; allowed are gap_aware, hrv_analysis"),
    ],
)
def test_a_specification_that_cannot_be_computed_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(AuraError, match=says):
        replace(SPEC, **changes)


def test_clean_intervals_are_refused_since_features_clean_themselves() -> None:
    with pytest.raises(AuraError, match="rr is of type NNSeries; allowed is an RRSeries"):
        extract_features(clean_intervals(heart(1)), SPEC)  # type: ignore[arg-type]


def test_intervals_that_rise_evenly_have_no_ratio_of_axes() -> None:
    rr_ms = 800.0 + np.arange(200) * 0.7
    t_s = np.cumsum(rr_ms) / 1000
    families = ("poincare", "jeppesen", "adaptive")
    rows = extract_features(
        RRSeries(t_s, rr_ms, 180.0), replace(SPEC, lengths_s=tuple((name, (150.0,)) for name in families))
    )
    assert rows["sd1__150s"].max() == 0
    for name in ("ratio_sd2_sd1", "csi", "Modified_csi", "csi100_slope", "csi_ratio", "csi_z"):
        assert rows[f"{name}__150s"].isna().all()


def test_another_order_of_families_has_another_digest_and_survives_json() -> None:
    other = replace(SPEC, lengths_s=SPEC.lengths_s[::-1])
    assert digest(other.to_dict()) != digest(SPEC.to_dict())
    back = FeatureSpec.from_dict(json.loads(json.dumps(other.to_dict(), sort_keys=True)))
    assert list(extract_features(heart(1), back)) == list(extract_features(heart(1), other))


def test_a_specification_survives_json() -> None:
    for spec in (SPEC, replace(SPEC, cleaning="hrv_analysis", pnn_ms=(5.0,))):
        assert FeatureSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_the_default_specification_is_that_of_features_original() -> None:
    assert FeatureSpec() == compose(["features=original"]).feature_spec


def test_the_size_of_blocks_changes_no_feature(monkeypatch: pytest.MonkeyPatch) -> None:
    rr = heart(35)
    specs = [replace(SPEC, cleaning=cleaning) for cleaning in CLEANINGS]
    whole = [extract_features(rr, spec) for spec in specs]
    monkeypatch.setattr("aura.features.extraction.BLOCK", 7)
    for spec, rows in zip(specs, whole, strict=True):
        pd.testing.assert_frame_equal(extract_features(rr, spec), rows, rtol=0, atol=0)
