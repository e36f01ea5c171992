"""Everything that uses MLflow: runs, the registry and promotion."""
