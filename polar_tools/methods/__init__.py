"""One file a training method, found by its name."""
