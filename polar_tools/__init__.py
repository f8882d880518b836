"""One config file in, versioned and verifiable results out."""

__version__ = "0.1.0"
