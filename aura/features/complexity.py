"""Further entropies, equal to those of NeuroKit2."""

from aura.types import Floats, Ints


def complexity(nn_ms: Floats, first: Ints, stop: Ints) -> dict[str, Floats]:
    """Approximate and permutation entropy of windows.

    Parameters
    ----------
    nn_ms
        (n_intervals,) NN intervals in ms.
    first, stop
        (n_windows,) ``nn_ms[first[i]:stop[i]]`` are the intervals of window i.

    Returns
    -------
    dict
        (n_windows,) features, missing on fewer than 10 intervals: apen (Pincus 1991, doi:10.1073/pnas.88.6.2297), with
        m=2 and a tolerance of 0.2 times the standard deviation; permutation_entropy (Bandt and Pompe 2002,
        doi:10.1103/PhysRevLett.88.174102) of 3 intervals in a row, between 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> complexity(np.arange(800.0, 900.0), np.array([0]), np.array([100]))["permutation_entropy"] == 0
    array([ True])
    """
    from aura.features import kernels_further as kernels

    return {
        "apen": kernels.approximate_entropy(nn_ms, first, stop),
        "permutation_entropy": kernels.permutation_entropy(nn_ms, first, stop),
    }
