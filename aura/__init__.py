"""From raw ECG recordings to a registered, served seizure detector.

The names below are the public interface; everything else may change. Importing `aura` imports none of them: each is
imported when it is first used.

>>> import aura
>>> rr = aura.read_rr({"rr_ms": [800] * 100})
>>> aura.extract_features(rr, aura.FeatureSpec(lengths_s={"time_domain": [10]})).shape
(80, 19)

``aura --help`` lists the entry points that put these together.
"""

import lazy_loader

__version__ = "0.1.0"

# The names are in __init__.pyi, where type checkers read them too.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
