"""train.log: what a training's libraries and POLAR itself say, with the time, for whoever looks later."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from polar_tools import errors
from polar_tools.errors import PolarError

NAME = "train.log"


@contextmanager
def written(file: Path) -> Iterator[None]:
    """While this lasts, messages and warnings are added to `file` too; a resumed training adds to what is there."""
    from transformers.utils import logging as transformers_logging

    handler = logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root, ours = logging.getLogger(), logging.getLogger("polar_tools")
    level = ours.level
    root.addHandler(handler)
    transformers_logging.add_handler(handler)
    ours.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    except PolarError as error:
        ours.error("%s", errors.first_line(error))  # which the terminal shows too, but not to those who look later
        raise
    finally:
        logging.captureWarnings(False)
        ours.setLevel(level)
        transformers_logging.remove_handler(handler)
        root.removeHandler(handler)
        handler.close()
