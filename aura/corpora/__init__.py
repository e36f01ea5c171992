"""Which files of a folder are recordings, and whose."""
