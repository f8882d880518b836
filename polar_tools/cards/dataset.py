"""The card of a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from polar_tools.exhibits.chain import walk
from polar_tools.provenance import Node
from polar_tools.publishing import licensing
from polar_tools.publishing.publication import Publication, repository
from polar_tools.records import read_json
from polar_tools.specs import PrepareSpec

SIZES = (
    *((1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e6, "100K<n<1M")),
    *((1e7, "1M<n<10M"), (1e8, "10M<n<100M"), (1e9, "100M<n<1B")),
)
"""What the Hub calls numbers of rows below each."""
PARTS = ("train", "test")


def metadata(made: Publication) -> str:
    """YAML for the Hub, which says which files are which part, so that its viewer and `load_dataset` find them."""
    from huggingface_hub import DatasetCardData

    licence = licensing.published(made)
    rows = sum(part["rows"] for part in _parts(made))
    known = [found[0] for node in made.sources if (found := repository(node))]
    data = DatasetCardData(
        license=licence or "other",
        pretty_name=made.spec.name,
        size_categories=[next((name for below, name in SIZES if rows < below), "1B<n<10B")],
        source_datasets=known or None,
        tags=["polar"],
        configs=[{"config_name": "default", "data_files": [{"split": part["name"], "path": part["pattern"]} for part in _parts(made)]}],
        **({} if licence else {"license_name": "unknown"}),
    )
    return str(data.to_yaml()).rstrip()


def content(made: Publication) -> dict[str, Any]:
    """What the template shows."""
    return {
        "parts": _parts(made),
        "prepared": [_prepared(node) for node in _chain(made.node)],
        "page": "report.html" in made.names,
    }


def _parts(made: Publication) -> list[dict[str, Any]]:
    """Name, files and rows of each part."""
    import pyarrow.parquet as pq

    found = []
    for name in PARTS:
        files = [made.folder / file for file in made.names if file.startswith(f"{_data()}/{name}-")]
        if files:
            rows = sum(pq.ParquetFile(file).metadata.num_rows for file in files)
            columns = pq.ParquetFile(files[0]).schema_arrow
            typed = [*zip(columns.names, map(str, columns.types), strict=True)]
            found.append({"name": name, "pattern": f"{_data()}/{name}-*", "rows": rows, "columns": typed})
    return found


def _data() -> str:
    return PrepareSpec.PAYLOAD


def _chain(node: Node) -> list[Node]:
    """The prepared datasets that it is, or is mixed of."""
    stage = PrepareSpec.model_fields["stage"].default
    found = {one.path: one for one in walk(node) if one.record["spec"]["stage"] == stage}
    return [found[path] for path in sorted(found)]


def _prepared(node: Node) -> dict[str, Any]:
    facts, spec = node.record["facts"], node.record["spec"]
    steps = facts.get("funnel", [])
    return {
        "path": node.path,
        "source": node.inputs[0].path if node.inputs else "",
        "columns": spec["columns"],
        "filters": spec["filters"],
        "split": spec["split"],
        "funnel": [{**step, "percent": 100 * step["rows"] / max(1, steps[0]["rows"])} for step in steps],
        "figures": read_json(Path(node.path) / "report.json") or {},
    }
