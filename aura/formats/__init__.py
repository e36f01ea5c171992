"""Files of recordings and annotations to objects and back, whatever corpus they are of."""
