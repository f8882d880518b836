"""`python -m polar_tools.training.torchrun ARGUMENTS`: torchrun, which lives and dies with the tool, and leaves talking to it.

A signal is the tool's to pass on: torchrun's own answer to SIGTERM is to kill what doesn't end within seconds, and a process may need
minutes to save. So signals pass it by; it ends when its processes have.
"""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path

from polar_tools.training import outcomes

PATIENCE = 30
"""Seconds for the other processes to end once one has failed."""


def main(folder: Path, arguments: list[str]) -> int:
    """Run torchrun; gives the exit status."""
    outcomes.die_with_parent()
    for number in outcomes.PASSED_ON:
        signal.signal(number, signal.SIG_IGN)
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    try:
        run(parse_args(["--signals-to-handle", "SIGQUIT", "--shutdown-timeout", str(PATIENCE), *arguments]))
    except ChildFailedError as error:
        outcomes.say_ended(folder, {rank: failure.exitcode for rank, failure in error.failures.items()})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
