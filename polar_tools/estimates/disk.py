"""What an artifact puts on the disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from polar_tools import storage
from polar_tools.estimates import batch as batches
from polar_tools.estimates import trained
from polar_tools.estimates.amounts import MIB, UnknownError
from polar_tools.estimates.architecture import Architecture
from polar_tools.estimates.rows import Rows

if TYPE_CHECKING:
    from polar_tools.methods.base import Config
    from polar_tools.specs import MirrorSpec

TOKEN = 4.0
"""Bytes of a token and its label, as Parquet files hold them. Ids of 16 bits, and labels that mostly repeat them."""


def mirror(spec: MirrorSpec) -> float:
    """MiB of the files of a `file://` source; raises UnknownError for one of which only the network knows."""
    files = storage.local_files(spec.source)
    if not files:
        raise UnknownError("unknown until the source is fetched")
    return sum(file.stat().st_size for file in files) / MIB


def tokens(rows: Rows) -> float:
    """MiB of rendered rows."""
    return rows.tokens * TOKEN / MIB


def training(config: Config, model: Architecture) -> float:
    """MiB of the saved model, and of the checkpoints at their most: one more than stay, while it is written."""
    head = batches.has_language_head(config)
    width, changed = trained.width(config), trained.number(config, model, head)
    whole = (model.parameters - (0 if head else model.head)) * trained.TYPE[config.dtype]
    saved = changed * width if config.use_peft else whole
    if config.save_strategy == "no":
        checkpoints = 0.0
    else:
        state = 0.0 if config.save_only_model else trained.states(config, changed * width)
        checkpoints = (config.save_total_limit + 1) * (saved + state)
    return ((whole if config.merge_adapter else saved) + checkpoints) / MIB


def below(folder: Path) -> float:
    """MiB of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / MIB
