"""A synthetic corpus with the priors of the literature: for the demo and the tests, never for claims about people."""
