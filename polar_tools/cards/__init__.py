"""Cards: what a reader of a repository sees first, written from the records alone."""

from __future__ import annotations

import json
from typing import Any

from polar_tools import claims, discovery, pages, scores
from polar_tools.provenance import Node
from polar_tools.publishing import licensing
from polar_tools.publishing.publication import Publication, repository
from polar_tools.specs import PublishSpec

REVISION = ("commit", "etag", "version", "archive_sha256")
"""What tells the state of a source, the best first."""
LIBRARIES = ("huggingface_hub", "jinja2")


def card(made: Publication) -> str:
    """README.md of a publication: metadata that the Hub reads, and the text, in the publication's language."""
    kind = "model" if made.training else "dataset" if made.spec.dataset else "report"
    module = discovery.load("cards", kind)
    metadata: Any = module.metadata(made)
    text = _rendered(f"{kind}.{made.spec.language}.md.jinja", {**_shared(made), **module.content(made)})
    return f"---\n{metadata}\n---\n\n{text}"


def draft(spec: PublishSpec, run: str, step: int) -> str:
    """README.md of a training that goes on, at a step."""
    return _rendered(f"draft.{spec.language}.md.jinja", {"name": spec.name, "project_name": spec.project_name, "run": run, "step": step})


def _shared(made: Publication) -> dict[str, Any]:
    """What every card tells."""
    return {
        "name": made.spec.name,
        "project_name": made.spec.project_name,
        "artifact": made.artifact,
        "record": made.node.record_sha256,
        "sources": [source(made, node) for node in made.sources],
        "license": licensing.published(made),
        "chosen_license": made.terms.license,
        "waived": made.terms.waive,
        "signed": made.terms.sign is not None,
        "repository": made.repository,
        "config": claims.CONFIG,
        "records": claims.RECORDS,
    }


def source(made: Publication, node: Node) -> dict[str, Any]:
    """A mirrored source: where it is from, in which state, under which licence, and of how many bytes."""
    told = node.record["facts"]["source"]
    revision = next((str(told[name]) for name in REVISION if told.get(name)), "")
    licences = licensing.of_sources(made)
    files = node.record["files"]
    return {
        "path": node.path,
        "uri": told["source"],
        "revision": revision,
        "license": licences.get(node.path),
        "files": len(files),
        "bytes": sum(entry["size"] for entry in files.values()),
        "record": node.record_sha256,
        "repository": repository(node),
    }


def _rendered(template: str, content: dict[str, Any]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("polar_tools", "cards"),
        autoescape=False,  # noqa: S701 (Markdown; what goes into a table is escaped by `cell`)
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"plain": scores.plain, "size": pages.size, "duration": pages.duration, "energy": pages.energy, "cell": cell}
    return environment.get_template(template).render(**content)


def cell(value: Any) -> str:
    """`value` as it may stand in a cell of a table: one line, no bar, no tag."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    for letter, written in (("\\", "\\\\"), ("|", "\\|"), ("<", "&lt;"), ("\r", ""), ("\n", " ")):
        text = text.replace(letter, written)
    return text
