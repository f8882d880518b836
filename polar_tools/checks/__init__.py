"""One file a check of the preflight, found by its name."""
