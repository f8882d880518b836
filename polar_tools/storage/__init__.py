"""One file a storage backend, found by its SCHEME."""
