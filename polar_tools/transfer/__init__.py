"""Copy a repository from any store to any other: exactly, nothing twice, and no whole copy on this disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from polar_tools import storage
from polar_tools.errors import UserError
from polar_tools.storage.hub import address
from polar_tools.transfer import manifest
from polar_tools.transfer.copying import Copy, Outcome
from polar_tools.transfer.order import Order
from polar_tools.transfer.progress import Progress
from polar_tools.transfer.refs import copy_refs, refuse_refs


@dataclass(frozen=True)
class Result:
    """What came of it: the target's address for people, how the main branch was copied, and how the other branches and tags were."""

    url: str
    main: Outcome
    refs: Mapping[str, Outcome]
    exposed: bool
    """Whether what is private at the source is now public."""

    def as_dict(self) -> dict[str, Any]:
        """The result for a program to read: files and bytes of the main branch, and what happened to each."""
        main, left_out = self.main, self.main.selection.left_out
        return {
            "url": self.url,
            "source": main.source,
            "target": main.target,
            "copied": {"files": len(main.sent), "bytes": main.size(main.sent), "paths": sorted(main.sent)},
            "taken": {"files": len(main.taken), "bytes": main.size(main.taken), "paths": sorted(main.taken)},
            "skipped": {"files": len(main.there), "bytes": main.size(main.there), "paths": sorted(main.there)},
            "deleted": sorted(main.deleted),
            "left_out": left_out,
            "pickles": list(main.selection.pickles),
            "refs": {
                name: {"copied": sorted(other.sent | other.taken), "deleted": sorted(other.deleted)} for name, other in self.refs.items()
            },
        }


def carry_out(order: Order, progress: Progress) -> Result:
    """Do what `order` says, or with `dry_run` only find out what there would be to do; raises a PolarError where it can't end exact."""
    if order.all_refs and (order.wishes.allow or order.wishes.ignore):
        raise UserError("--all-refs copies whole states; leave --allow and --ignore out")
    if order.all_refs and order.source.startswith("hf://") and address.parse(order.source).revision != "main":
        raise UserError("--all-refs copies every branch and tag; leave the source's revision out")
    with (
        storage.open_source(order.source, order.sha256, order.source_access) as snapshot,
        storage.open_target(order.target, order.target_access, order.placement) as target,
    ):
        if order.all_refs:
            refuse_refs(snapshot, target)
        copy = Copy(snapshot, target, order.wishes, progress)
        main = copy.plan() if order.dry_run else copy.run()
        refs = copy_refs(snapshot, target, main, order.wishes, progress, order.dry_run) if order.all_refs else {}
        if order.manifest is not None and not order.dry_run:
            copy.fill(manifest.entries(manifest.read(order.manifest) or {"files": {}}))
            manifest.save(order.manifest, manifest.written(order.target, target.url, main, refs))
        return Result(target.url, main, refs, snapshot.private and target.public)
