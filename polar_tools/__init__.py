"""One config file in, versioned and verifiable results out."""

from polar_tools.repos import pull_and_push_repo
from polar_tools.version import __version__

__all__ = ["__version__", "pull_and_push_repo"]
