"""What things cost, for anyone to measure: ``python -m benchmarks.prepare``."""
