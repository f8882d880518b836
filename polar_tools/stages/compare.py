"""Compare all that was measured on one evaluation: each experiment with what it started from, with references, and with the others."""

from __future__ import annotations

import itertools
from pathlib import Path

from polar_tools.artifact import Facts, canonical
from polar_tools.comparing import contestants, findings, lots
from polar_tools.specs import CompareSpec

LIBRARIES = ("numpy", "pyarrow", "scikit-learn", "scipy")


def run(spec: CompareSpec, folder: Path) -> Facts:
    """Write report.json, with everything that was found, and comparison.csv, a line a pair, figure and part of the rows."""
    known = contestants.of_spec(spec)
    untouched = [(contestants.base_of(name), name) for name in spec.experiments]
    others = [(reference, name) for reference in contestants.references(spec) for name in spec.experiments]
    others += itertools.combinations(spec.experiments, 2)
    paired = lots.pair(lots.with_metrics([contestants.read(one) for one in known.values()]))
    found = findings.find(paired, [untouched, others], samples=spec.samples, seed=spec.seed)
    report = found.as_dict()
    (folder / spec.PAYLOAD).write_bytes(canonical(report))
    (folder / "comparison.csv").write_text(found.as_csv(), encoding="utf-8", newline="\n")
    return Facts(
        recorded={"rows": found.whole.rows, "sentences": report["sentences"], "stories": report["stories"], "notes": report["notes"]}
    )
