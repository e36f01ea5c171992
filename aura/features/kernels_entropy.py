"""Compiled passes of the entropies; imported as late as `aura.features.kernels`."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from aura.core.arrays import Floats, Ints
from aura.features.kernels import moments

Marks = NDArray[np.uint8]
Counts = NDArray[np.uint32]
# As shares of the standard deviation: of nolds 0.6 for m=2, and of NeuroKit2.
SAMPEN_TOLERANCE, APEN_TOLERANCE = 0.1164 * (0.5627 * np.log(2.0) + 1.3334), 0.2
FEWEST = 10
# Intervals that are worked on at once, and how many numbers fit into a vector of most processors.
ROWS, WIDTH = 32, 16


@njit(cache=True, nogil=True)
def room(longest: int) -> tuple[Floats, Marks, Marks, Counts]:
    """What `count_like` writes into, for windows of up to so many intervals."""
    width = longest + WIDTH
    close = np.empty((ROWS + 2, width + 2), dtype=np.uint8)
    return np.empty(width), close, np.empty((2, width), dtype=np.uint8), np.empty((2, width), dtype=np.uint32)


@njit(cache=True, nogil=True)
def count_like(nn: Floats, tolerance: float, x: Floats, close: Marks, some: Marks, like: Counts) -> None:
    """Of each template, how many are like it, itself included: ``like[0]`` of 2 intervals, ``like[1]`` of 3."""
    n = len(nn)
    # To whole vectors, with what is close to nothing.
    width = -(-n // WIDTH) * WIDTH
    x[:n], x[n:width] = nn, np.nan
    some_2, some_3, like_2, like_3 = some[0], some[1], like[0], like[1]
    like_2[:width], like_3[:width], close[:, width : width + 2] = 0, 0, 0
    for begin in range(0, n - 1, ROWS):
        n_rows = min(ROWS, n - 1 - begin)
        # A row per interval: which others are close. Many rows are written before one is read, as a processor waits
        # where it reads at another offset what it has just written.
        for k in range(n_rows + 2):
            row, value = close[k], nn[begin + k] if begin + k < n else np.inf
            for i in range(width):
                row[i] = abs(x[i] - value) <= tolerance
        some_2[:width], some_3[:width] = 0, 0
        for k in range(n_rows):
            first, second, third = close[k], close[k + 1], close[k + 2]
            for i in range(width):
                both = first[i] & second[i + 1]
                some_2[i] += both
                some_3[i] += both & third[i + 2]
        for i in range(width):
            like_2[i] += some_2[i]
            like_3[i] += some_3[i]


@njit(cache=True, nogil=True)
def sample_entropy(nn_ms: Floats, first: Ints, stop: Ints) -> Floats:
    """(n_windows,) sample entropy with m=2; missing where no two templates match."""
    out = np.full(len(first), np.nan)
    x, close, some, like = room(int((stop - first).max()) if len(first) else 0)
    for window in range(len(first)):
        nn = nn_ms[first[window] : stop[window]]
        n = len(nn)
        if n < FEWEST:
            continue
        _, squares = moments(nn)
        # Nearer than the tolerance, not as near.
        count_like(nn, np.nextafter(SAMPEN_TOLERANCE * np.sqrt(squares / (n - 1)), -1.0), x, close, some, like)
        # Without themselves; and of 2 intervals, without the last template, which no third interval follows.
        matches_2 = int(like[0, : n - 2].sum()) - (int(like[0, n - 2]) - 1) - (n - 2)
        matches_3 = int(like[1, : n - 2].sum()) - (n - 2)
        if matches_2 > 0 and matches_3 > 0:
            out[window] = -np.log(matches_3 / matches_2)
    return out


@njit(cache=True, nogil=True)
def approximate_entropy(nn_ms: Floats, first: Ints, stop: Ints) -> Floats:
    """(n_windows,) approximate entropy with m=2."""
    out = np.full(len(first), np.nan)
    longest = int((stop - first).max()) if len(first) else 0
    logs = np.log(np.maximum(np.arange(longest + 1), 1))
    x, close, some, like = room(longest)
    for window in range(len(first)):
        nn = nn_ms[first[window] : stop[window]]
        n = len(nn)
        if n < FEWEST:
            continue
        _, squares = moments(nn)
        count_like(nn, APEN_TOLERANCE * np.sqrt(squares / (n - 1)), x, close, some, like)
        entropy_2, entropy_3 = 0.0, 0.0
        for count in like[0, : n - 1]:
            entropy_2 += logs[count] - logs[n - 1]
        for count in like[1, : n - 2]:
            entropy_3 += logs[count] - logs[n - 2]
        out[window] = entropy_2 / (n - 1) - entropy_3 / (n - 2)
    return out


@njit(cache=True, nogil=True)
def permutation_entropy(nn_ms: Floats, first: Ints, stop: Ints) -> Floats:
    """(n_windows,) entropy of the order of 3 intervals in a row, as a share of the largest there can be."""
    out = np.full(len(first), np.nan)
    for window in range(len(first)):
        nn = nn_ms[first[window] : stop[window]]
        n = len(nn)
        if n < FEWEST:
            continue
        counts = np.zeros(8)
        for i in range(n - 2):
            # Of equal intervals, the earlier counts as the shorter.
            counts[(nn[i] > nn[i + 1]) * 4 + (nn[i] > nn[i + 2]) * 2 + (nn[i + 1] > nn[i + 2])] += 1
        entropy = 0.0
        for count in counts:
            if count > 0:
                entropy -= count / (n - 2) * np.log2(count / (n - 2))
        out[window] = entropy / np.log2(6.0)
    return out
