"""Where work is run, how it is shared, and how it is watched."""
