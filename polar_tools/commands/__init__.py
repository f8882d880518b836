"""One Click command a file: parse, one call, echo."""
