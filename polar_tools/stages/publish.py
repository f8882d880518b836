"""Publish: put it together, write its card and its claim, ask all gates, sign it, send it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from polar_tools import artifact, cards, claims, gates, lock
from polar_tools.artifact import Facts, read_json
from polar_tools.publishing import assembling, sending, signing
from polar_tools.publishing.publication import CARD, Publication
from polar_tools.publishing.sending import Target
from polar_tools.records import write_whole
from polar_tools.specs import PublishSpec

LIBRARIES = (*cards.LIBRARIES, "safetensors")
COPIES = "copies"
"""A manifest of each copy, as `pull-push` writes it: `polar-tools verify` looks at the place again."""
KEPT = {"all_checkpoints": ("checkpoint-",)}
"""Strategy -> how folders begin that stay where they were sent to, though this machine has them no more."""


def run(spec: PublishSpec, folder: Path) -> Facts:
    """Write published/ and send it wherever it is to go. Raises GateError, and sends nothing, where a gate isn't passed or waived."""
    targets = sending.targets(spec)
    made = assembled(spec, folder / spec.PAYLOAD, targets[0].shown)
    outcomes = gates.ask(made, made.artifact)
    signed = {"signed_by": signing.sign(made.folder, Path(spec.terms.sign).expanduser())} if spec.terms.sign else {}
    sent = _sent(made, targets, folder / COPIES)
    recorded = {
        "artifact": made.artifact,
        "record": made.node.record_sha256,
        "run": made.run,
        "gates": {name: {"result": outcome.result, "found": outcome.found} for name, outcome in outcomes.items()},
        "targets": [{"kind": kind, "uri": one["uri"]} for kind, one in sent.items()],
        **signed,
    }
    return Facts(recorded, {"targets": sent}, volatile=(spec.PAYLOAD, COPIES))


def try_out(folder: Path) -> None:
    """Put together what the spec in `folder` asks for, and ask all gates; nothing is sent, and nothing stays.

    Raises GateError where a gate isn't passed or waived.
    """
    spec, _ = artifact.asked(folder, "publish")
    scratch = folder / f"{lock.NAME}.dry-run"
    try:
        made = assembled(spec, scratch, sending.targets(spec)[0].shown)
        gates.ask(made, made.artifact)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def assembled(spec: PublishSpec, folder: Path, repository: str) -> Publication:
    """The publication in `folder`, with card and claim, of which nobody asked a gate yet."""
    made = assembling.assembled(spec, folder, repository)
    write_whole(folder / CARD, cards.card(made).encode())
    if spec.terms.sign:
        signing.put_public_key(folder, Path(spec.terms.sign).expanduser())
    measured = [node.path for node in (*made.base.values(), *made.evaluations.values())]
    claims.write(folder, made.artifact, measured, spec.config, made.files)
    return made


def _sent(made: Publication, targets: Sequence[Target], copies: Path) -> dict[str, Any]:
    """Kind of place -> its URI, its address for people, and the commit or version that it has now."""
    message = made.terms.message or f"Publish {made.artifact}, record {made.node.record_sha256[:12]}"
    sent = {}
    for target in targets:
        manifest = copies / f"{target.kind}.json"
        result = sending.send(made, target, message, manifest, KEPT.get(made.terms.hub_strategy, ()))
        written = (read_json(manifest) or {}).get("target", {})
        sent[target.kind] = {"uri": target.uri, **{key: written[key] for key in sorted(written) if key not in ("uri", "endpoint")}}
        print(f"{result.url}: {len(result.main.files)} files, listed again and the same", flush=True)
    return sent
