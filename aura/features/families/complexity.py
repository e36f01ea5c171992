"""Further entropies and fluctuation analysis, equal to those of NeuroKit2."""

from aura.core.arrays import Floats
from aura.features.windows import NNWindows


def complexity(windows: NNWindows) -> dict[str, Floats]:
    """Approximate and permutation entropy of windows, and how their fluctuations grow with the scale.

    Parameters
    ----------
    windows
        NN intervals and which of them are in which window.

    Returns
    -------
    dict
        (n_windows,) features: apen (Pincus 1991, doi:10.1073/pnas.88.6.2297), with m=2 and a tolerance of 0.2 times
        the standard deviation, and permutation_entropy (Bandt and Pompe 2002, doi:10.1103/PhysRevLett.88.174102) of 3
        intervals in a row, between 0 and 1, both missing on fewer than 10 intervals; dfa_alpha1, the short-term
        exponent of detrended fluctuation analysis (Peng 1995, doi:10.1063/1.166141) over scales of 4 to 16 intervals,
        in segments that overlap by half, missing on fewer than 17, and where no segment fluctuates.

    Examples
    --------
    >>> import numpy as np
    >>> complexity(NNWindows.one(np.arange(800.0, 900.0)))["permutation_entropy"] == 0
    array([ True])
    """
    from aura.features import kernels_entropy, kernels_further

    return {
        "apen": kernels_entropy.approximate_entropy(windows.nn_ms, windows.first, windows.stop),
        "permutation_entropy": kernels_entropy.permutation_entropy(windows.nn_ms, windows.first, windows.stop),
        "dfa_alpha1": kernels_further.dfa_alpha1(windows.nn_ms, windows.first, windows.stop),
    }
