"""The configuration: YAML and words to checked objects."""
