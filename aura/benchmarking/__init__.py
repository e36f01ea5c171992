"""What the stages cost: by size of the corpus, number of workers, version, and machine."""
