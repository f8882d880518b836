"""Pages that people open: one file each, which needs no network, out of a template that lies beside its stage."""

from __future__ import annotations

import re
from typing import Any

from polar_tools import scores

LIBRARIES = ("jinja2",)


def render(template: str, **content: Any) -> str:
    """The page that `template` in stages/ makes of `content`; the same text for the same content."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("polar_tools", "stages"), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters |= {"plain": scores.plain, "size": size, "duration": duration, "energy": energy, "ticked": ticked}
    return environment.get_template(template).render(**content)


def size(count: float) -> str:
    """A number of bytes as people read it."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def duration(seconds: float) -> str:
    """A time as people read it: 41.3 s, 12 min 5 s, 3 h 20 min."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def energy(joules: float) -> str:
    """An energy in watt hours, as meters and bills have it."""
    hours = joules / 3600
    return f"{hours / 1000:.2f} kWh" if hours >= 1000 else f"{hours:.3g} Wh"


def ticked(text: str) -> Any:
    """`text` with what stands in it between backticks as code."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 (escaped before)
