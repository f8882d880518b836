"""One config file in, versioned and verifiable results out."""

from typing import TYPE_CHECKING, Any

from polar_tools.repos import pull_and_push_repo
from polar_tools.version import __version__

if TYPE_CHECKING:
    from polar_tools.standalone import train

__all__ = ["__version__", "pull_and_push_repo", "train"]


def __getattr__(name: str) -> Any:
    """`train` is imported when it is asked for: it knows the whole config, which most commands need not."""
    if name != "train":
        raise AttributeError(f"module `polar_tools` has no attribute `{name}`")
    from polar_tools.standalone import train

    return train
