"""Cost of the stages by size of the corpus, number of workers, version and machine."""
