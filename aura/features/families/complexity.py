"""Further entropies, and detrended fluctuation analysis."""

import numpy as np

from aura.core.arrays import Floats, Ints
from aura.features.compiling import ANY_ORDER, kernel
from aura.features.family import Family
from aura.features.kernels import allocate_matches, compute_moments, count_matches, fit_slope
from aura.features.windows import NNWindows

MIN_INTERVALS = 10
# Tolerance of the approximate entropy, as a share of the standard deviation.
TOLERANCE = 0.2
# Intervals per segment of the fluctuation analysis, and the variance below which a segment is flat.
SCALES = np.arange(4, 17)
FLAT_MS2 = 1e-8
# Segments that are detrended at once.
LANES = 64


def complexity(windows: NNWindows) -> dict[str, Floats]:
    """Compute approximate entropy, permutation entropy and the short-term fluctuation exponent of windows.

    Parameters
    ----------
    windows
        NN intervals, and which of them are in which window.

    Returns
    -------
    dict
        (n_windows,) features: apen (Pincus 1991, doi:10.1073/pnas.88.6.2297) with m=2 and a tolerance of 0.2 standard
        deviations, and permutation_entropy (Bandt and Pompe 2002, doi:10.1103/PhysRevLett.88.174102) of order 3, from 0
        to 1, both NaN for fewer than 10 intervals; dfa_alpha1, the short-term exponent of detrended fluctuation
        analysis (Peng 1995, doi:10.1063/1.166141) over scales of 4 to 16 intervals with half-overlapping segments, NaN
        for fewer than 17 intervals, and if no segment fluctuates.

    Examples
    --------
    >>> complexity(NNWindows.one(np.arange(800.0, 900.0)))["permutation_entropy"] == 0
    array([ True])
    """
    intervals = (windows.nn_ms, windows.first, windows.stop)
    return {
        "apen": compute_approximate_entropy(*intervals),
        "permutation_entropy": compute_permutation_entropy(*intervals),
        "dfa_alpha1": compute_dfa_alpha1(*intervals),
    }


@kernel()
def compute_approximate_entropy(nn_ms: Floats, first: Ints, stop: Ints) -> Floats:
    """Return the (n_windows,) approximate entropy with m=2."""
    out = np.full(len(first), np.nan)
    longest = int((stop - first).max()) if len(first) else 0
    logs = np.log(np.maximum(np.arange(longest + 1), 1))
    x, close, some, like = allocate_matches(longest)
    for window in range(len(first)):
        nn = nn_ms[first[window] : stop[window]]
        n = len(nn)
        if n < MIN_INTERVALS:
            continue
        _, squares = compute_moments(nn)
        count_matches(nn, TOLERANCE * np.sqrt(squares / (n - 1)), x, close, some, like)
        entropy_2, entropy_3 = 0.0, 0.0
        for count in like[0, : n - 1]:
            entropy_2 += logs[count] - logs[n - 1]
        for count in like[1, : n - 2]:
            entropy_3 += logs[count] - logs[n - 2]
        out[window] = entropy_2 / (n - 1) - entropy_3 / (n - 2)
    return out


@kernel()
def compute_permutation_entropy(nn_ms: Floats, first: Ints, stop: Ints) -> Floats:
    """Return the (n_windows,) entropy of the order of 3 successive intervals, as a share of its maximum."""
    out = np.full(len(first), np.nan)
    for window in range(len(first)):
        nn = nn_ms[first[window] : stop[window]]
        n = len(nn)
        if n < MIN_INTERVALS:
            continue
        counts = np.zeros(8)
        for i in range(n - 2):
            # Of equal intervals, the earlier one counts as shorter.
            counts[(nn[i] > nn[i + 1]) * 4 + (nn[i] > nn[i + 2]) * 2 + (nn[i + 1] > nn[i + 2])] += 1
        entropy = 0.0
        for count in counts:
            if count > 0:
                entropy -= count / (n - 2) * np.log2(count / (n - 2))
        out[window] = entropy / np.log2(6.0)
    return out


@kernel(fastmath=ANY_ORDER, forceinline=True)
def detrend_segments(nn: Floats, scale: int, out: Floats) -> None:
    """Write the variance of the integrated intervals around their least-squares line, for each segment start.

    Many segments are worked on at once, so that the innermost loops are vectorised.
    """
    middle = 0.5 * (scale - 1)
    squares = scale * (scale * scale - 1) / 12.0
    total, mean, steepness = np.empty((3, LANES))
    for begin in range(0, len(nn) - scale + 1, LANES):
        n = min(LANES, len(nn) - scale + 1 - begin)
        part, rest = nn[begin:], out[begin : begin + n]
        total[:], mean[:], steepness[:], rest[:] = 0.0, 0.0, 0.0, 0.0
        for i in range(scale):
            for k in range(n):
                # A constant taken from all intervals changes only the line, and small sums keep their digits.
                total[k] += part[k + i] - part[k]
                mean[k] += total[k] / scale
                steepness[k] += (i - middle) / squares * total[k]
        total[:] = 0.0
        for i in range(scale):
            for k in range(n):
                total[k] += part[k + i] - part[k]
                deviation = total[k] - mean[k] - steepness[k] * (i - middle)
                rest[k] += deviation * deviation / scale


@kernel()
def compute_dfa_alpha1(nn_ms: Floats, first: Ints, stop: Ints) -> Floats:
    """Return the (n_windows,) short-term exponent of detrended fluctuation analysis."""
    out = np.full(len(first), np.nan)
    if not len(first):
        return out
    fluctuations = np.full((len(first), len(SCALES)), np.nan)
    # One variance per segment start: many windows share a segment, and its variance does not depend on them.
    begin_of_all = first.min()
    nn_of_all = nn_ms[begin_of_all : stop.max()]
    variances = np.empty(len(nn_of_all))
    for i in range(len(SCALES)):
        scale = SCALES[i]
        detrend_segments(nn_of_all, scale, variances)
        for window in range(len(first)):
            if stop[window] - first[window] <= SCALES[-1]:
                continue
            total, count = 0.0, 0
            for begin in range(first[window], stop[window] - scale, scale // 2):
                variance = variances[begin - begin_of_all]
                # Flat segments do not count, as in NeuroKit2.
                if variance > FLAT_MS2:
                    total += variance
                    count += 1
            if count:
                fluctuations[window, i] = 0.5 * np.log2(total / count)
    log_scales = np.log2(SCALES)
    for window in range(len(first)):
        out[window] = fit_slope(log_scales, fluctuations[window])
    return out


FAMILY = Family(
    name="complexity",
    compute=complexity,
    columns=("apen", "permutation_entropy", "dfa_alpha1"),
    min_intervals=MIN_INTERVALS,
    lengths_s=(60.0,),
    equal_to="NeuroKit2; the entropies also antropy",
    sources=("10.1073/pnas.88.6.2297", "10.1103/PhysRevLett.88.174102", "10.1063/1.166141"),
    notes=(
        "`dfa_alpha1` needs 17 intervals.",
        "`apen` of about 10 intervals can be negative; NeuroKit2 returns its absolute value.",
    ),
    position=70,
)
