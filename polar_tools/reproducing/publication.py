"""A publication brought here: fetched, and asked whether its claim agrees with itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from polar_tools import claims, storage, transfer
from polar_tools import config as configs
from polar_tools.claims import Claim
from polar_tools.errors import UserError
from polar_tools.plan import Plan
from polar_tools.queries.keys import changes
from polar_tools.queries.why import as_today, json_of
from polar_tools.specs import same
from polar_tools.storage.base import Access
from polar_tools.transfer.copying import Wishes
from polar_tools.transfer.order import Order
from polar_tools.transfer.progress import Progress

FOLDER = "publication"
"""Where it lies in the folder of the reproduction."""


def address(ref: str) -> str:
    """What a person wrote for a publication as a URI: ORG/NAME on the Hub, any URI, or a folder of this machine."""
    return f"file://{Path(ref).resolve()}" if Path(ref).is_dir() else storage.as_uri(ref)


def fetch(ref: str, output: Path, access: Access) -> tuple[Claim, dict[str, str]]:
    """Copy the publication `ref` into `output`, and return its claim and what identifies its state.

    Raises UserError where `output` holds something else, and for what carries no claim.
    """
    folder = output / FOLDER
    there = output.is_dir() and any(output.iterdir())
    if there and not claims.is_publication(folder):
        raise UserError(f"{output} holds something else; name an empty or a new folder by --output")
    before = (folder / claims.CLAIM).read_bytes() if there else None
    with storage.open_source(address(ref), access=access) as snapshot:
        if claims.CLAIM not in {entry.path for entry in snapshot.entries}:
            raise UserError(f"{ref} has no {claims.CLAIM}: it was not published by POLAR, so nothing says how it was made")
        identity = snapshot.identity
    if before is None:
        order = Order(address(ref), f"file://{folder.resolve()}", source_access=access, wishes=Wishes(delete_extra=True))
        transfer.carry_out(order, Progress(shown=True))
    elif _claimed(ref, access) != before:
        raise UserError(f"{output} holds the reproduction of another claim; name an empty or a new folder by --output")
    return claims.read(folder), identity


def _claimed(ref: str, access: Access) -> bytes:
    """The bytes of the claim that is published now."""
    with storage.open_source(address(ref), access=access) as snapshot:
        entry = next(entry for entry in snapshot.entries if entry.path == claims.CLAIM)
        return b"".join(snapshot.read(entry, 0))


def planned(claim: Claim) -> Plan:
    """What the published config asks for. The working directory must be the one in which it is made."""
    return Plan(configs.load(claim.config))


def contradictions(claim: Claim, plan: Plan) -> Iterator[str]:
    """Where a claim does not agree with itself, a line each: its files, its records, and its config with what the records say was run."""
    yield from claims.differences(claim)
    for path in claim.artifacts:
        recorded = claim.part(path)["spec"]
        if not same(recorded, claim.part(path, "spec.json")):
            yield from (f"{claims.RECORDS}/{path}/spec.json: {change}" for change in changes(recorded, claim.part(path, "spec.json")))
        if path not in plan.artifacts:
            yield f"{claims.CONFIG}: makes no {path}, of which there is a record"
        elif not same(recorded, json_of(plan.artifacts[path].frozen)):
            found = changes(as_today(recorded), json_of(plan.artifacts[path].frozen))
            yield from (f"{claims.CONFIG}: {path}: {change} (recorded -> config)" for change in found)
