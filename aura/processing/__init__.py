"""One recording through one step, in whatever process."""
