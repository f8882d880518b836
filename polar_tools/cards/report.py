"""The card of a report, which the Hub shows as a static page."""

from __future__ import annotations

from typing import Any

from polar_tools.publishing import licensing
from polar_tools.publishing.publication import Publication
from polar_tools.specs import ReportSpec


def metadata(made: Publication) -> str:
    """YAML by which the Hub knows a static space and its first page."""
    import yaml

    told = {"title": made.spec.name, "sdk": "static", "app_file": ReportSpec.PAYLOAD, "tags": ["polar"]}
    licence = licensing.published(made)
    return str(yaml.safe_dump({**told, **({"license": licence} if licence else {})}, sort_keys=False, allow_unicode=True)).rstrip()


def content(made: Publication) -> dict[str, Any]:
    """What the template shows."""
    return {"page": ReportSpec.PAYLOAD, "experiments": sorted(made.node.record["spec"]["experiments"])}
