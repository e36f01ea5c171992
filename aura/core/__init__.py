"""The nouns of the project, and the one way to write a file whole."""
