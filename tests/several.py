"""Trainings in one pair of processes, one after another: `torchrun tests/several.py FOLDER...`, each with a spec.json, and rank 0 writes.

What `polar_tools.training.rank` does once, without what it costs to start it.
"""

import json
import os
import sys
from pathlib import Path

from polar_tools import specs
from polar_tools.training import session


def main() -> None:
    for folder in map(Path, sys.argv[1:]):
        os.chdir(folder.parents[3])
        spec = specs.thaw((folder / "spec.json").read_bytes(), "spec.json")
        assert isinstance(spec, specs.TrainSpec)
        facts, _ = session.run(spec, folder)
        if os.environ["RANK"] == "0":
            (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    main()
