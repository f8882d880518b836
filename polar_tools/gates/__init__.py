"""What must hold before a publication leaves this machine: a file a gate, found by listing this folder."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from polar_tools import discovery
from polar_tools.errors import GateError
from polar_tools.gates.base import Outcome

if TYPE_CHECKING:
    from polar_tools.publishing.publication import Parcel


def ask(parcel: Parcel, what: str, finished: bool = True) -> dict[str, Outcome]:
    """How the gates came out, all asked, or, of a training that isn't `finished`, those that need no record; each is printed.

    Raises GateError that names all that keep `what` from being published, and what to do.
    """
    modules = {name: module for name, module in discovery.modules("gates").items() if finished or not module.OF_FINISHED}
    found = {name: _waived(name, module, module.check(parcel), parcel) for name, module in modules.items()}
    for name, outcome in found.items():
        print(f"{name}: {outcome.result}: {outcome.found}", flush=True)
    closed = [f"{name}: {outcome.found}\n  ({modules[name].MEANS})" for name, outcome in found.items() if outcome.result == "failed"]
    if closed:
        raise GateError(f"{what} is not published:\n" + "\n".join(closed))
    return found


def _waived(name: str, module: ModuleType, outcome: Outcome, parcel: Parcel) -> Outcome:
    """The outcome, or that a person has waived it."""
    if outcome.result != "failed" or name not in parcel.terms.waive or not module.WAIVABLE or outcome.final:
        return outcome
    return Outcome("waived", f"{outcome.found} (waived: {parcel.terms.waive[name]})")
