"""Sample entropy: how predictable an interval is from those before it."""

import numpy as np

from aura.core.arrays import Floats, Ints
from aura.features.compiling import kernel
from aura.features.family import Family
from aura.features.kernels import allocate_matches, compute_moments, count_matches
from aura.features.windows import NNWindows

MIN_INTERVALS = 10
# Tolerance of nolds 0.6 for m=2, as a share of the standard deviation.
TOLERANCE = 0.1164 * (0.5627 * np.log(2.0) + 1.3334)


def entropy(windows: NNWindows) -> dict[str, Floats]:
    """Compute the sample entropy of windows (Richman and Moorman 2000, doi:10.1152/ajpheart.2000.278.6.H2039).

    Parameters
    ----------
    windows
        NN intervals, and which of them are in which window.

    Returns
    -------
    dict
        (n_windows,) sampen, with m=2 and the tolerance of nolds 0.6, which hrv-analysis uses: 0.2 times the standard
        deviation, up to rounding. NaN for fewer than 10 intervals, and if no template repeats.

    Examples
    --------
    >>> entropy(NNWindows.one(np.tile([800.0, 810.0, 790.0], 10)))["sampen"] == 0
    array([ True])
    """
    return {"sampen": compute_sample_entropy(windows.nn_ms, windows.first, windows.stop)}


@kernel()
def compute_sample_entropy(nn_ms: Floats, first: Ints, stop: Ints) -> Floats:
    """Return the (n_windows,) sample entropy with m=2; NaN if no two templates match."""
    out = np.full(len(first), np.nan)
    x, close, some, like = allocate_matches(int((stop - first).max()) if len(first) else 0)
    for window in range(len(first)):
        nn = nn_ms[first[window] : stop[window]]
        n = len(nn)
        if n < MIN_INTERVALS:
            continue
        _, squares = compute_moments(nn)
        # Matches are nearer than the tolerance, not as near as it.
        count_matches(nn, np.nextafter(TOLERANCE * np.sqrt(squares / (n - 1)), -1.0), x, close, some, like)
        # Without matches of a template with itself. Among templates of 2 intervals the last one does not count, since
        # no third interval follows it.
        matches_2 = int(like[0, : n - 2].sum()) - (int(like[0, n - 2]) - 1) - (n - 2)
        matches_3 = int(like[1, : n - 2].sum()) - (n - 2)
        if matches_2 > 0 and matches_3 > 0:
            out[window] = -np.log(matches_3 / matches_2)
    return out


FAMILY = Family(
    name="entropy",
    compute=entropy,
    columns=("sampen",),
    min_intervals=MIN_INTERVALS,
    lengths_s=(60.0,),
    hrv_analysis=("get_sampen",),
    equal_to="hrv-analysis",
    sources=("10.1152/ajpheart.2000.278.6.H2039",),
    notes=("If no template repeats, `sampen` is infinite in hrv-analysis and NaN here, in both engines.",),
    position=30,
)
