"""Estimates as people read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from polar_tools.estimates.amounts import shown_count, shown_memory, shown_time
from polar_tools.estimates.planned import Estimate, Planned
from polar_tools.estimates.training import Memory

HEADINGS = ("to make", "device memory", "host memory", "disk", "tokens", "time", "GPU hours")
UNKNOWN = "?"


def lines(planned: Planned) -> Iterator[str]:
    """A row an artifact with what its memory consists of, sums, reasons for what isn't known, and how good such figures were."""
    pending = planned.pending
    if not pending:
        yield "nothing is to be made"
        return
    rows = [HEADINGS, *(_row(one) for one in pending), _sums(pending)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for place, row in enumerate(rows):
        yield "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        if 0 < place < len(rows) - 1 and (device := pending[place - 1].device) is not None and pending[place - 1].stage == "train":
            yield f"    {parts(device)}"
    yield from _said(pending)
    yield from _errors(planned)


def parts(memory: Memory) -> str:
    """`weights 159 MB + gradients 31 MB + ...`; a correction downwards has a minus."""
    shown = [(name, size) for name, size in memory.as_dict().items() if abs(size) >= 0.5]
    return " ".join(f"{'-' if size < 0 else '+'} {name} {shown_memory(abs(size))}" for name, size in shown).removeprefix("+ ")


def _row(one: Estimate) -> tuple[str, ...]:
    device = one.device.total if one.device is not None and one.gpus else None
    return (
        one.path,
        ("" if not one.gpus else UNKNOWN) if device is None else shown_memory(device),
        _known(one.host, shown_memory),
        _known(one.disk_mb, shown_memory) if one.stage not in ("evaluate", "rank") else "",
        _known(one.tokens, shown_count) if one.stage in ("train", "evaluate", "rank", "tokenize") else "",
        _known(one.seconds, shown_time),
        "" if not one.gpus else _known(one.gpu_hours, "{:.2f}".format),
    )


def _known(figure: float | None, shown: Callable[[float], str]) -> str:
    return UNKNOWN if figure is None else shown(figure)


def _sums(pending: Sequence[Estimate]) -> tuple[str, ...]:
    """What all need together, or the one that needs most; with a sign where not all is known."""

    def joined(figures: Sequence[float | None], together: Callable[[list[float]], float], shown: Callable[[float], str]) -> str:
        known = [figure for figure in figures if figure is not None]
        return "" if not known else f"{shown(together(known))}{'+' if len(known) < len(figures) else ''}"

    devices = [one.device.total if one.device else None for one in pending if one.gpus]
    return (
        f"{len(pending)} to make, in all (memory: the most)",
        joined(devices, max, shown_memory),
        joined([one.host for one in pending], max, shown_memory),
        joined([one.disk_mb for one in pending if one.stage not in ("evaluate", "rank")], sum, shown_memory),
        joined([one.tokens for one in pending if one.stage == "train"], sum, shown_count),
        joined([one.seconds for one in pending], sum, shown_time),
        joined([one.gpu_hours for one in pending if one.gpus], sum, "{:.2f}".format),
    )


def _said(pending: Sequence[Estimate]) -> Iterator[str]:
    """Notes and reasons, each once, with how many artifacts it is about."""
    reasons: dict[str, set[str]] = {}
    for one in pending:
        for text in {*one.unknown.values(), *one.notes}:
            reasons.setdefault(text, set()).add(one.path)
    for text, paths in reasons.items():
        first = sorted(paths)[0]
        yield f"{first}{f' and {len(paths) - 1} more' if len(paths) > 1 else ''}: {text}"


def _errors(planned: Planned) -> Iterator[str]:
    errors = planned.history.errors()
    if not errors:
        yield "by the formulas alone: no past run here has corrected them yet"
    for name, (error, runs) in errors.items():
        yield f"{name}: corrected by {runs} past runs; each predicted without itself, the median error is {error:.0%}"
