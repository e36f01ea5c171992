"""The public names of ``import aura``, and the libraries that it does not import."""

import subprocess
import sys

import aura


def test_every_public_name_exists_and_is_documented() -> None:
    for name in aura.__all__:
        assert getattr(aura, name).__doc__, name
    assert set(aura.__all__) <= set(dir(aura))
    assert aura.__version__


def test_importing_aura_imports_no_large_library() -> None:
    code = "import sys, aura; print(sorted({'numpy', 'pandas', 'mlflow', 'sklearn', 'hydra'} & set(sys.modules)))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"
