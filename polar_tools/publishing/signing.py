"""Sign a publication, and check a signature: OpenSSF model signing, with a key of one's own, so that no network is needed.

The signature is a Sigstore bundle; in it lies an in-toto statement with the sha256 of every file but itself.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from polar_tools import claims
from polar_tools.errors import IntegrityError, UserError, first_line

PUBLIC_KEY = f"{claims.FOLDER}/public_key.pem"
"""The key that whoever has no better one may check the signature with: it says that one hand signed all, not whose."""
NOT_OURS = (".cache", claims.SIGNATURE)
"""What the signature leaves out: itself, and what the Hub's client keeps beside a download. (git's own it leaves out anyway.)"""


def put_public_key(folder: Path, key: Path) -> None:
    """Write the public half of a private key into a publication; raises UserError for a file that is no such key."""
    _library("signing")
    try:
        public = _public(key)
    except OSError as error:
        raise UserError(f"sign: {key} can't be read ({error.strerror})") from error
    except (ValueError, TypeError, AttributeError) as error:  # what cryptography says of it may hold a part of it
        raise UserError(f"sign: {key} is no private key in PEM without a password; openssl ecparam -name prime256v1 -genkey") from error
    (folder / PUBLIC_KEY).parent.mkdir(parents=True, exist_ok=True)
    (folder / PUBLIC_KEY).write_bytes(public)


def sign(folder: Path, key: Path) -> str:
    """Sign all files in `folder` with a private key, and return the sha256 that the public key is known by.

    Raises UserError for a key that isn't of an elliptic curve.
    """
    try:
        config = _library("signing").Config().use_elliptic_key_signer(private_key=key).set_hashing_config(_hashing(folder))
        config.sign(folder.resolve(), folder.resolve() / claims.SIGNATURE)
    except (ValueError, TypeError) as error:
        raise UserError(f"sign: {key} is no key of the curves P-256, P-384 or P-521; openssl ecparam -name prime256v1 -genkey") from error
    return fingerprint((folder / PUBLIC_KEY).read_bytes())


def verify(folder: Path, key: Path | None) -> str:
    """Check the signature of a publication, with `key` or the public key that came along; returns the sha256 of that key.

    Raises IntegrityError where it isn't that of these files by this key, UserError for a `key` that is none.
    """
    verifying, public = _library("verifying"), key or folder / PUBLIC_KEY
    if not public.is_file():
        raise UserError(f"there is no public key {public}; name the signer's by --key")
    try:
        config = verifying.Config().use_elliptic_key_verifier(public_key=public).set_hashing_config(_hashing(folder))
    except (ValueError, TypeError) as error:
        raise UserError(f"{public} is no public key of an elliptic curve in PEM") from error
    try:
        config.verify(folder.resolve(), folder.resolve() / claims.SIGNATURE)
    except Exception as error:  # whatever a bundle that was tampered with leads to
        raise IntegrityError(f"{folder / claims.SIGNATURE}: the signature doesn't hold for {public}: {_plain(error)}") from error
    return fingerprint(public.read_bytes())


def fingerprint(public: bytes) -> str:
    """The sha256 of a public key's DER form, as `openssl pkey -pubin -outform DER | sha256sum` has it."""
    import hashlib

    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_public_key(public)
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def _public(key: Path) -> bytes:
    from cryptography.hazmat.primitives import serialization

    private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    return private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _hashing(folder: Path) -> object:
    return _library("hashing").Config().set_ignored_paths(paths=[folder.resolve() / name for name in NOT_OURS], ignore_git_paths=True)


def _library(name: str) -> ModuleType:
    import importlib

    try:
        return importlib.import_module(f"model_signing.{name}")
    except ModuleNotFoundError as error:
        raise UserError("signing needs model-signing: pip install 'polar-tools[sign]'") from error


def _plain(error: Exception) -> str:
    """Which files it is about; the library shows hashes as bytes, which nobody reads."""
    import re

    text = str(error)
    lots = re.findall(r"(?:Extra|Missing) files found in model '[^']*': ([^\"]+)", text)
    files = {*re.findall(r"for '([^']+)'", text.replace("\\'", "'")), *(name for lot in lots for name in lot.split(", "))}
    return f"not what was signed: {', '.join(sorted(files))}" if files else first_line(error) or type(error).__name__
