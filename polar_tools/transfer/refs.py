"""Copy the other branches of a repository, and its tags: the state of each, not the way there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from polar_tools.errors import UserError
from polar_tools.storage.base import SCRATCH, Snapshot, Target
from polar_tools.transfer.copying import Copy, Outcome, Wishes
from polar_tools.transfer.progress import Progress


def copy_refs(
    snapshot: Snapshot, target: Target, main: Outcome, wishes: Wishes, progress: Progress, dry: bool = False
) -> Mapping[str, Outcome]:
    """Let every branch and tag of the source mean the same files in the target; `main` tells how its main branch was copied.

    Returns what was done by the ref's full name. A tag that is to mean a state which no branch has gets it by way of a branch that
    goes again.
    """
    assert snapshot.refs is not None and snapshot.elsewhere is not None  # see refuse_refs
    refs = snapshot.refs()
    done: dict[str, Outcome] = {}
    places = {} if main.extra else {snapshot.identity["commit"]: target}
    for name, commit in sorted(refs["branches"].items()):
        if name != "main":
            place = target.branch(name)
            copy = Copy(snapshot.elsewhere(commit), place, wishes, progress)
            done[f"refs/heads/{name}"] = outcome = copy.plan() if dry else copy.run()
            if not outcome.extra:
                places.setdefault(commit, place)
    for name, commit in sorted(refs["tags"].items()):
        state = snapshot.elsewhere(commit)
        outcome = Copy(state, target.branch(name), wishes, progress).plan()
        if not dry and (outcome.sent or outcome.extra or outcome.deleted or not outcome.target["commit"]):
            exact, place = replace(wishes, delete_extra=True), target.branch(SCRATCH + name)
            outcome = Copy(state, places.get(commit, place), exact, progress).run()
            places.get(commit, place).tag(name)
        done[f"refs/tags/{name}"] = outcome
    return done


def refuse_refs(snapshot: Snapshot, target: Target) -> None:
    """Raise UserError, before anything is copied, where one side keeps no branches."""
    if snapshot.refs is None:
        raise UserError(f"`{snapshot.identity['source']}` keeps no branches or tags; leave --all-refs out")
    target.branch("main")
