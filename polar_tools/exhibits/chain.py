"""From what a result was made: chains of artifacts as a page shows them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from polar_tools.provenance import Node


@dataclass(frozen=True)
class Link:
    """One place of a chain as it is shown: `parts` is None where the artifact was shown above."""

    node: Node
    parts: tuple[Link, ...] | None


def walk(*ends: Node) -> Iterator[Node]:
    """Chains from their ends down to their sources, each artifact once."""
    waiting, seen = list(ends), set[str]()
    while waiting:
        node = waiting.pop()
        if node.path not in seen:
            seen.add(node.path)
            yield node
            waiting += node.inputs


def link(node: Node, seen: set[str]) -> Link:
    """The chain of `node`, but for what was `seen` already."""
    if node.path in seen:
        return Link(node, None)
    seen.add(node.path)
    longest_first = sorted(node.inputs, key=lambda part: -len(list(walk(part))))
    return Link(node, tuple(link(part, seen) for part in longest_first))


def sources(*ends: Node) -> list[Node]:
    """The mirrored sources that chains end in, by path."""
    found = {node.path: node for node in walk(*ends) if "source" in node.record["facts"]}
    return [found[path] for path in sorted(found)]


def first_line(text: str | None) -> str:
    """What a documentation says first."""
    return (text or "").strip().partition("\n")[0]
