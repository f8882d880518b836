"""One config file in, versioned and verifiable results out."""

from typing import TYPE_CHECKING, Any

from polar_tools.repos import pull_and_push_repo
from polar_tools.version import __version__

if TYPE_CHECKING:
    from polar_tools.evaluating import evaluate
    from polar_tools.standalone import train

__all__ = ["__version__", "evaluate", "pull_and_push_repo", "train"]
LATE = {"train": "standalone", "evaluate": "evaluating"}
"""What is imported when it is asked for, and where it stands: it knows the whole config, which most commands need not."""


def __getattr__(name: str) -> Any:
    """`train` and `evaluate`."""
    if name not in LATE:
        raise AttributeError(f"module `polar_tools` has no attribute `{name}`")
    import importlib

    return getattr(importlib.import_module(f"polar_tools.{LATE[name]}"), name)
