"""Send a publication to where it belongs, by the same copy that `pull-push` makes: exact, nothing twice, verified by listing it again.

Like a manifest, the claim goes last: what lies there without one isn't whole. What an earlier publication put there, and this one
hasn't, goes; what anyone else put there stays.
"""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from polar_tools import claims, secrets, storage
from polar_tools.errors import StorageError, UserError
from polar_tools.publications import slug
from polar_tools.publishing.publication import Parcel
from polar_tools.specs import PublishSpec
from polar_tools.storage.base import Placement
from polar_tools.transfer import Result, carry_out
from polar_tools.transfer.copying import Wishes
from polar_tools.transfer.order import Order
from polar_tools.transfer.progress import Progress

CHECKPOINTS = f"{claims.FOLDER}/checkpoints.json"
"""While a training goes on, in place of a claim: which files are ours."""
LAST = (claims.CLAIM, claims.SIGNATURE, CHECKPOINTS)


@dataclass(frozen=True)
class Target:
    """Where a publication goes: which kind of place, and its URI."""

    kind: str
    uri: str
    private: bool = False

    @property
    def shown(self) -> str:
        """What one loads it by: ORG/NAME, or the URI; a folder's is its path."""
        return re.sub(r"^(hf://(datasets/|spaces/)?|file://)", "", self.uri)


def targets(spec: PublishSpec) -> list[Target]:
    """Where to; the token's account is asked for where no owner is named. Raises UserError where there is no token."""
    terms, found = spec.terms, []
    if terms.push_to_hub:
        found.append(Target("hub", f"hf://{_type(spec)}{_hub_name(terms.hub_model_id or spec.name)}", terms.private))
    if terms.push_to_minio:
        bucket = terms.minio_model_save_bucket or slug(spec.project_name).lower().replace("_", "-")
        found.append(Target("minio", f"s3://{bucket}" if "/" in bucket else f"s3://{bucket}/{spec.name}"))
    if terms.folder:
        found.append(Target("folder", terms.folder if "://" in terms.folder else f"file://{Path(terms.folder).expanduser()}"))
    return found


def send(parcel: Parcel, target: Target, message: str, manifest: Path | None = None, kept: Iterable[str] = ()) -> Result:
    """Make `target` hold the parcel; what of ours begins with one of `kept` stays there though it isn't in it."""
    if secrets.redacted(message) != message:
        raise UserError("message: it holds a token, and everyone who sees the repository sees its commit messages")
    stale = _stale(parcel, target, tuple(kept))
    progress = Progress(shown=True)
    try:
        for ignored in (LAST, ()):
            wishes = _wishes(parcel, target, stale, ignored)
            order = Order(f"file://{parcel.folder}", target.uri, placement=Placement(target.private, message), wishes=wishes)
            result = carry_out(order if ignored else _noted(order, manifest), progress)
        return result
    finally:
        progress.close()


def _noted(order: Order, manifest: Path | None) -> Order:
    from dataclasses import replace

    return replace(order, manifest=manifest)


def _wishes(parcel: Parcel, target: Target, stale: set[str], ignored: tuple[str, ...]) -> Wishes:
    """To delete what is stale, and nothing else."""
    spared = _there(target) - stale - set(parcel.names) if stale else set()
    return Wishes(ignore=(*ignored, *sorted(glob.escape(name) for name in spared)), delete_extra=bool(stale))


def _there(target: Target) -> set[str]:
    """The files that are there now."""
    with storage.open_target(target.uri) as place:
        return {entry.path for entry in place.entries()}


def _stale(parcel: Parcel, target: Target, kept: tuple[str, ...]) -> set[str]:
    """What an earlier publication left there that this one hasn't."""
    there = _there(target)
    ours = {name for marker in (claims.CLAIM, CHECKPOINTS) if marker in there for name in (marker, *_told(target.uri, marker))}
    return {name for name in ours & there - set(parcel.names) if not (kept and name.startswith(kept))}


def named(target: Target, marker: str) -> list[str]:
    """The files that a claim, or what stands in for one, names at a target; none where there is none."""
    return _told(target.uri, marker) if marker in _there(target) else []


def _told(uri: str, marker: str) -> list[str]:
    with storage.open_source(uri) as snapshot:
        entry = next(entry for entry in snapshot.entries if entry.path == marker)
        try:
            told = json.loads(b"".join(snapshot.read(entry, 0)))
        except ValueError:
            return []
    files = told.get("files", ()) if isinstance(told, dict) else ()
    return [name for name in files if isinstance(name, str)]


def _type(spec: PublishSpec) -> str:
    return "datasets/" if spec.dataset else "spaces/" if spec.report else ""


def _hub_name(name: str) -> str:
    return name if "/" in name else f"{_account()}/{name}"


def _account() -> str:
    """Whose the token is."""
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import HfHubHTTPError

    if not get_token():
        raise UserError("publishing on the Hub needs a token that may write: set HF_TOKEN, or run `hf auth login`")
    try:
        return str(HfApi().whoami()["name"])
    except HfHubHTTPError as error:
        raise UserError("hub_model_id: the Hub doesn't say whose the token is; set a valid HF_TOKEN, or name ORG/NAME") from error
    except Exception as error:
        raise StorageError(f"the Hub can't be asked whose the token is ({type(error).__name__}); run the same command again") from error
