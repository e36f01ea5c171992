"""What ``import aura`` offers, and what it costs."""

import subprocess
import sys

import aura


def test_every_public_name_is_there_and_documented() -> None:
    for name in aura.__all__:
        assert getattr(aura, name).__doc__, name
    assert set(aura.__all__) <= set(dir(aura))
    assert aura.__version__


def test_importing_aura_imports_none_of_the_libraries() -> None:
    code = "import sys, aura; print(sorted({'numpy', 'pandas', 'mlflow', 'sklearn', 'hydra'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
