"""Features against a baseline of the same person, which lift detection: the last 10 s against the last minutes."""

from aura.types import Floats, Ints, NNSeries
from aura.windows import beats_in_windows

RECENT_S = 10.0
RISE_S = 30.0


def adaptive(nn: NNSeries, end_s: Floats, first: Ints, stop: Ints) -> dict[str, Floats]:
    """Compare the last 10 s before the end of a window with all of the window, its trailing baseline.

    Parameters
    ----------
    nn
        NN intervals of a recording.
    end_s
        (n_windows,) ends of the windows in seconds.
    first, stop
        (n_windows,) ``nn.nn_ms[first[i]:stop[i]]`` are the intervals of window i, the baseline, which ends with it.

    Returns
    -------
    dict
        (n_windows,) features: hr_ratio, mean heart rate of the last 10 s over that of the baseline (Vandecasteele 2017,
        doi:10.3390/s17102338); mean_nni_z, how many sdnn of the baseline the last mean_nni is from its; sdnn_ratio and
        rmssd_ratio; and hr_slope, the rise of the heart rate over the last 30 s in bpm per second. Missing on fewer
        than 3 intervals in the last 10 s, 5 in the last 30 s, or 10 in the baseline.
    """
    from aura.features import kernels_further as kernels

    recent, _ = beats_in_windows(nn.t_s, end_s, RECENT_S)
    rise, _ = beats_in_windows(nn.t_s, end_s, RISE_S)
    columns = kernels.adaptive(nn.t_s, nn.nn_ms, first, recent, rise, stop)
    return {
        "hr_ratio": columns[0],
        "mean_nni_z": columns[1],
        "sdnn_ratio": columns[2],
        "rmssd_ratio": columns[3],
        "hr_slope": columns[4],
    }
