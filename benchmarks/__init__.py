"""Benchmarks of the stages, of features, of serving and of the database: ``python -m benchmarks.prepare``."""
