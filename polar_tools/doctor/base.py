"""What every look of the doctor is told, and what it finds.

A subject's file has `look(asked) -> Iterator[Finding]`; it is listed in polar_tools/commands/doctor.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from polar_tools.config import Config
from polar_tools.plan import Plan


@dataclass(frozen=True)
class Asked:
    """What is to be looked at: for a config, on a cluster with a profile of Snakemake's; or this machine alone."""

    plan: Plan | None = None
    profile: Path | None = None
    """The profile's file."""

    @property
    def config(self) -> Config | None:
        """What the plan is of."""
        return None if self.plan is None else self.plan.config


@dataclass(frozen=True)
class Finding:
    """One thing that is so: `good`; a `note`, which is worth knowing; or a `problem`, which something that is asked for will fail of."""

    subject: str
    level: Literal["good", "note", "problem"]
    said: str
    """What is, and what to do about it."""
