"""Pictures and pages of results; they compute nothing."""
