"""What stores and boto3 say when something goes wrong: whether it may pass, and how to say it in words."""

from __future__ import annotations

import re

from polar_tools.errors import IntegrityError, PolarError, StorageError, UserError
from polar_tools.patience import retry_after

PASSING = {408, 425, 429, 500, 502, 503, 504}
DAMAGED = {"BadDigest", "IncompleteBody", "RequestTimeout", "XAmzContentSHA256Mismatch", "OperationAborted"}
"""What a store says to a request that suffered on its way."""
ABSENT = ("404", "NoSuchKey")
NO_BUCKET = "NoSuchBucket"
DENIED = {"401", "403", "AccessDenied", "AllAccessDisabled", "UnauthorizedAccess"}
BAD_KEYS = {
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
}
NO_KEYS = {
    "CredentialRetrievalError",
    "LoginError",
    "MetadataRetrievalError",
    "NoAuthTokenError",
    "NoCredentialsError",
    "PartialCredentialsError",
    "SSOError",
    "TokenRetrievalError",
}
"""Errors of botocore, some of which only newer versions have."""


def code(error: Exception) -> str:
    """What the store calls the error; nothing where no store said anything."""
    from botocore.exceptions import ClientError

    if not isinstance(error, ClientError):
        return ""
    said = str(error.response.get("Error", {}).get("Code"))
    return re.sub(r"[^A-Za-z0-9._-]", "", said)[:60]  # it stands in messages


def may_pass(error: Exception) -> bool:
    """Whether the same call may go well a little later."""
    from botocore import exceptions as boto
    from botocore.parsers import ResponseParserError
    from urllib3.exceptions import HTTPError

    if isinstance(error, boto.ClientError):
        return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") in PASSING or code(error) in DAMAGED
    return isinstance(error, boto.HTTPClientError | boto.ConnectionError | boto.IncompleteReadError | ResponseParserError | HTTPError)


def asked_for(error: Exception) -> float | None:
    """Seconds that an answer asks to wait; None where it says nothing of it."""
    answer = getattr(error, "response", None)
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}) if isinstance(answer, dict) else {}
    return retry_after(str(headers.get("retry-after", "")))


def explained(error: Exception, uri: str, endpoint: str) -> Exception:
    """What to say of an error, in our words: its own hold addresses, signatures and the names of keys."""
    from botocore import exceptions as boto

    kind = type(error).__name__
    if isinstance(error, boto.ClientError):
        return _refused(code(error), error.operation_name, uri, endpoint)
    if isinstance(error, boto.ProfileNotFound):
        return UserError(f"`{uri}`: no AWS profile of that name (--profile, AWS_PROFILE) is in the files of `aws configure`")
    if any(parent.__name__ in NO_KEYS for parent in type(error).__mro__):
        how = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile"
        return UserError(f"`{uri}`: there are no usable keys ({kind}); {how}")
    if isinstance(error, boto.FlexibleChecksumError):
        return IntegrityError(f"`{uri}`: the store sent bytes that its own checksum doesn't fit; run the same command again")
    if may_pass(error):
        return StorageError(f"`{uri}`: {endpoint} can't be reached ({kind}); is the store there? Then run the same command again")
    return UserError(f"`{uri}`: boto3 can't ask for it ({kind})") if isinstance(error, boto.BotoCoreError) else error


def no_bucket(uri: str, endpoint: str) -> UserError:
    """The error for a bucket that isn't there."""
    return UserError(f"`{uri}`: there is no such bucket at {endpoint}; make the bucket first, or correct its name")


def _refused(what: str, operation: str, uri: str, endpoint: str) -> PolarError:
    if what == NO_BUCKET:
        return no_bucket(uri, endpoint)
    if what in BAD_KEYS:
        return UserError(f"`{uri}`: {endpoint} doesn't accept the keys ({what}); are they those of this store, and is the clock right?")
    if what in DENIED:
        return UserError(f"`{uri}`: {endpoint} denies access ({operation}); do the keys have the right to do this?")
    if what == "InvalidObjectState":
        return UserError(f"`{uri}`: an object is archived; have the store restore it first")
    return StorageError(f"`{uri}`: {endpoint} answered {what} ({operation}); whole files stay, run the same command again")
