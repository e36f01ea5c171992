"""Array types, named after their elements."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.int64]
Int16s = NDArray[np.int16]
Bools = NDArray[np.bool_]
