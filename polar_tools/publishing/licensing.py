"""Licences by the names that the Hub and SPDX have for them: what a source says of itself, and what may be published from several.

A rule of thumb for people, not law: what asks for nothing but a notice goes into everything; what asks for the same licence, for no
commerce or for terms of its own asks it of what is made from it, model or data; what allows no derivatives allows none here either.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from polar_tools.provenance import Node
from polar_tools.publishing.publication import Publication

FREE = (
    *("apache-2.0", "cc-by-4.0", "cc-by-3.0", "cc-by-2.5", "cc-by-2.0", "odc-by", "bsd-3-clause", "bsd-3-clause-clear", "bsd-2-clause"),
    *("bsd", "mit", "mit-0", "isc", "zlib", "ncsa", "postgresql", "bsl-1.0", "afl-3.0", "ecl-2.0", "artistic-2.0", "ms-pl"),
    *("cdla-permissive-2.0", "cdla-permissive-1.0", "openmdw-1.0", "etalab-2.0", "unlicense", "wtfpl", "pddl", "cc0-1.0", "0bsd"),
)
"""Licences that ask for no more than a notice, the one that asks for most first."""
NO_DERIVATIVES = re.compile(r"^cc-by(-nc)?-nd-")
NAMED_IN = (
    (r"Apache License\s+Version 2\.0", "apache-2.0"),
    (r"Permission is hereby granted, free of charge, to any person obtaining a copy", "mit"),
    (r"Attribution-ShareAlike 4\.0", "cc-by-sa-4.0"),
    (r"Attribution-NonCommercial-ShareAlike 4\.0", "cc-by-nc-sa-4.0"),
    (r"Attribution-NonCommercial 4\.0", "cc-by-nc-4.0"),
    (r"Creative Commons Attribution 4\.0", "cc-by-4.0"),
    (r"CC0 1\.0 Universal", "cc0-1.0"),
    (r"GNU AFFERO GENERAL PUBLIC LICENSE\s+Version 3", "agpl-3.0"),
    (r"GNU LESSER GENERAL PUBLIC LICENSE\s+Version 3", "lgpl-3.0"),
    (r"GNU GENERAL PUBLIC LICENSE\s+Version 3", "gpl-3.0"),
    (r"GNU GENERAL PUBLIC LICENSE\s+Version 2", "gpl-2.0"),
    (r"Mozilla Public License Version 2\.0", "mpl-2.0"),
    (r"Redistributions in binary form[\s\S]*Neither the name", "bsd-3-clause"),
    (r"Redistributions in binary form", "bsd-2-clause"),
)
"""What stands in the text of a licence -> its name; the first that is found counts."""
TEXTS = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "COPYING", "COPYING.txt")
HEAD = 20_000
"""Characters of a text that are looked at."""


def of_sources(parcel: Publication) -> dict[str, str | None]:
    """Artifact of each mirrored source -> its licence: what the person says, or its own files; None where nobody says it."""
    return {node.path: plain(parcel.spec.licenses.get(node.path) or said_by(node)) for node in parcel.sources}


def plain(name: str | None) -> str | None:
    """A licence's name as the Hub writes it."""
    return None if not name else name.strip().lower().replace(" ", "-").removesuffix("-only").removesuffix("-or-later")


def said_by(node: Node) -> str | None:
    """What a mirrored source says of its licence: the front matter of its README.md, or the text of a licence beside it."""
    snapshot = Path(node.path) / "snapshot"
    front = front_matter(snapshot / "README.md")
    name = front.get("license_name") if front.get("license") == "other" else front.get("license")
    if isinstance(name, list):
        name = name[0] if len(name) == 1 else None
    if isinstance(name, str) and name not in ("unknown", "other"):
        return name
    texts = (_text(snapshot / file) for file in TEXTS)
    return next((licence for text in texts for form, licence in NAMED_IN if re.search(form, text)), None)


def front_matter(readme: Path) -> dict[str, Any]:
    """The metadata at the head of a README.md; empty where there is none that can be read."""
    import yaml

    found = re.match(r"---\s*\n(.*?)\n---", _text(readme), re.DOTALL)
    try:
        data = yaml.safe_load(found[1]) if found else None
    except yaml.YAMLError:
        return {}
    return data if isinstance(data, dict) else {}


def conflicts(licences: Mapping[str, str], chosen: str | None) -> Iterator[str]:
    """Why what these sources became can't be published under `chosen`, or, None, under any licence; a line each."""
    yield from (f"{path}: {name} allows no derivatives" for path, name in licences.items() if NO_DERIVATIVES.match(name))
    strictest = _demanding(licences.values())
    if len(strictest) > 1:
        yield f"{' and '.join(strictest)} each ask for themselves alone"
    elif chosen is not None and strictest and not covers(plain(chosen) or "", strictest[0]):
        yield f"`license: {chosen}` is not what the sources ask for, which is {strictest[0]}"


def published(parcel: Publication) -> str | None:
    """The licence of a publication: as the person says, or the strictest of its sources'; None where that isn't clear."""
    if parcel.terms.license:
        return plain(parcel.terms.license)
    known = of_sources(parcel)
    names = {name for name in known.values() if name is not None}
    strictest = _demanding(names)
    if None in known.values() or len(strictest) > 1 or not names:
        return None
    return strictest[0] if strictest else min(names, key=FREE.index)


def _demanding(names: Any) -> list[str]:
    """Licences among `names` that ask for themselves, without those that another of them covers, sorted."""
    asking = sorted({name for name in names if name not in FREE})
    return [name for name in asking if not any(other != name and covers(other, name) for other in asking)]


def covers(one: str, other: str) -> bool:
    """Whether what is under `other` may go into what is under `one`: the same, a later version, or one that asks for more besides."""
    if one == other or other in FREE:
        return True
    family, version = _split(one)
    below, older = _split(other)
    stricter = {("cc-by-nc-sa", "cc-by-nc"), ("agpl", "gpl"), ("gpl", "lgpl"), ("gpl", "mpl"), ("agpl", "lgpl"), ("agpl", "mpl")}
    return (family == below and version >= older and family.startswith("cc-by")) or (family, below) in stricter


def _split(name: str) -> tuple[str, tuple[int, ...]]:
    """The name of a licence without its version, and the version."""
    found = re.fullmatch(r"(.*?)-?v?(\d+(?:\.\d+)*)?", name)
    assert found is not None
    return found[1], tuple(int(part) for part in (found[2] or "0").split("."))


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")[:HEAD] if file.is_file() else ""
