"""Pages that people open: one file each, which needs no network, out of a template that lies beside its stage."""

from __future__ import annotations

from typing import Any

from polar_tools import scores

LIBRARIES = ("jinja2",)


def render(template: str, **content: Any) -> str:
    """The page that `template` in stages/ makes of `content`; the same text for the same content."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("polar_tools", "stages"), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters |= {"plain": scores.plain, "size": size}
    return environment.get_template(template).render(**content)


def size(count: float) -> str:
    """A number of bytes as people read it."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
