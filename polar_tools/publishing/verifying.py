"""Is a published folder still what it claims to be, and who signed it?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from polar_tools import claims
from polar_tools.errors import IntegrityError
from polar_tools.publishing import signing


@dataclass(frozen=True)
class Verified:
    """What was looked at, what isn't as claimed, and the sha256 of the key that signed; None where nobody did."""

    files: list[str]
    differences: list[str]
    signed_by: str | None
    key_came_along: bool = False
    """Whether the signature was checked by the key that was published with it, for want of another."""


def verify(folder: Path, key: Path | None = None) -> Verified:
    """Hash a publication's files again and compare them with its claim, its records with one another, and check its signature.

    `key` is the signer's public key. Raises UserError for a folder without a claim, and for a key that is none.
    """
    claim = claims.read(folder)
    differences, signed_by = list(claims.differences(claim)), None
    if (folder / claims.SIGNATURE).is_file():
        try:
            signed_by = signing.verify(folder, key)
        except IntegrityError as error:
            differences.append(str(error))
    elif key is not None or (folder / signing.PUBLIC_KEY).is_file():
        differences.append(f"{claims.SIGNATURE}: missing: it isn't signed")
    return Verified(sorted(claim.files), differences, signed_by, signed_by is not None and key is None)
