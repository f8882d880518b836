"""Which of several machines this is, and where the first one is: as Slurm says, or whoever starts the command on each."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

from polar_tools.errors import UserError, WorldError

PATIENCE = 3600
"""Seconds for which machines wait for the first, which alone prepares and looks before it trains."""
PORT = 29500
BY_HAND = "NODE_RANK=0 (then 1, ...) MASTER_ADDR=HOST polar-tools train SPEC"


@dataclass(frozen=True)
class Node:
    """One of several machines."""

    number: int
    address: str
    """Where number 0 is."""
    port: int


def is_first() -> bool:
    """Whether this machine is number 0, or the only one."""
    return int(os.environ.get("NODE_RANK", os.environ.get("SLURM_NODEID", "0"))) == 0


def here(count: int) -> Node:
    """Which of `count` machines it is; raises UserError where nothing says which it is."""
    if count == 1:
        return Node(0, "127.0.0.1", PORT)
    if "NODE_RANK" in os.environ:
        return _by_hand(count)
    if "SLURM_STEP_NUM_NODES" not in os.environ:
        raise UserError(f"nodes: {count}, but nothing says which of them this is. Run on each: {BY_HAND}; or with Slurm {_srun(count)}")
    if int(os.environ["SLURM_STEP_NUM_NODES"]) != count or int(os.environ["SLURM_STEP_NUM_TASKS"]) != count:
        raise UserError(
            f"nodes: {count}, but Slurm runs this command {os.environ['SLURM_STEP_NUM_TASKS']} times on "
            f"{os.environ['SLURM_STEP_NUM_NODES']} nodes; start it by {_srun(count)}"
        )
    port = os.environ.get("MASTER_PORT", str(20000 + int(os.environ["SLURM_JOB_ID"]) % 20000))
    return Node(int(os.environ["SLURM_NODEID"]), os.environ.get("MASTER_ADDR") or _first_of_slurm(), int(port))


def _by_hand(count: int) -> Node:
    number, address = int(os.environ["NODE_RANK"]), os.environ.get("MASTER_ADDR")
    if address is None or not 0 <= number < count:
        raise UserError(f"nodes: {count}; NODE_RANK is {number} and MASTER_ADDR is {address}. Run on each: {BY_HAND}")
    return Node(number, address, int(os.environ.get("MASTER_PORT", PORT)))


def _srun(count: int) -> str:
    return f"srun --nodes={count} --ntasks-per-node=1 polar-tools train SPEC"


def _first_of_slurm() -> str:
    """The address of the first host of this job step."""
    first = _scontrol("show", "hostnames", os.environ["SLURM_STEP_NODELIST"]).split()[0]
    told = dict(part.partition("=")[::2] for part in _scontrol("show", "node", "-o", first).split())
    return told.get("NodeAddr", first)


def _scontrol(*words: str) -> str:
    try:
        return subprocess.run(("scontrol", *words), capture_output=True, text=True, check=True).stdout  # noqa: S607 (wherever it lies)
    except (OSError, subprocess.CalledProcessError) as error:
        raise WorldError(f"scontrol {' '.join(words)} failed, so the first node isn't known; set MASTER_ADDR: {error}") from error
