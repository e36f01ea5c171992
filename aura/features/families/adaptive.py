"""Features against a baseline of the same person, which lift detection: the last 10 s against the last minutes."""

from aura.core.arrays import Floats
from aura.features.windows import NNWindows

# In the order of `aura.features.kernels_adaptive.describe`.
COMPARED = ("mean_hr", "sdnn", "rmssd", "csi", "Modified_csi")


def adaptive(windows: NNWindows) -> dict[str, Floats]:
    """Compare the last 10 s before the end of a window with all of the window, its trailing baseline.

    Parameters
    ----------
    windows
        NN intervals and which of them are in which window; the window is the baseline, however long it is.

    Returns
    -------
    dict
        (n_windows,) features. Of mean_hr, sdnn, rmssd, csi and Modified_csi each: ``_ratio``, its value in the last
        10 s over that in the baseline (of the heart rate: Vandecasteele 2017, doi:10.3390/s17102338); ``_z``, how many
        standard deviations the last 10 s are from the mean of the pieces of 10 s before them in the baseline, at least
        5 with a value. And hr_slope, the rise of the heart rate over the last 30 s in bpm per second. Missing on fewer
        than 4 intervals in a piece, 5 in the last 30 s, or 10 in the baseline, and where all pieces are the same.
    """
    from aura.features.kernels_adaptive import adaptive as kernel

    columns = kernel(windows.t_s, windows.nn_ms, windows.end_s, windows.first, windows.stop)
    ratios = {f"{name}_ratio": columns[i] for i, name in enumerate(COMPARED)}
    z = {f"{name}_z": columns[len(COMPARED) + i] for i, name in enumerate(COMPARED)}
    return {**ratios, **z, "hr_slope": columns[-1]}
