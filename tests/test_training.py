"""One run from its task to its files; the trainer is made in a backend's own process elsewhere."""
