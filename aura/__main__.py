"""Run ``python -m aura``."""

from aura.cli import entry_point

if __name__ == "__main__":
    entry_point()
