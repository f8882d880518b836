"""Stores: does the Hub answer, and S3, and do they take the token and the keys, which are shown to nobody?"""

from __future__ import annotations

import os
from collections.abc import Iterator

from polar_tools.dataset_config import Dataset
from polar_tools.doctor.base import Asked, Finding
from polar_tools.secrets import redacted

SECONDS = 10


def look(asked: Asked) -> Iterator[Finding]:
    """The stores that the config's sources lie in, and those that the environment names."""
    given = [] if asked.config is None else [*asked.config.models.values(), *asked.config.datasets.values()]
    sources = [one.source for one in given] + [one.test_source for one in given if isinstance(one, Dataset) and one.test_source is not None]
    on_hub, on_s3 = (any(source.startswith(scheme) for source in sources) for scheme in ("hf://", "s3://"))
    published = {} if asked.config is None else asked.config.publish
    to_hub = [name for name, one in published.items() if one.push_to_hub]
    on_s3 = on_s3 or any(one.push_to_minio for one in published.values())
    if on_hub or to_hub or os.environ.get("HF_ENDPOINT") or os.environ.get("HF_TOKEN"):
        yield _hub(on_hub or bool(to_hub), next(iter(to_hub), None))
    if on_s3 or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"):
        yield _s3(on_s3)


def _hub(needed: bool, published: str | None) -> Finding:
    """Whether it answers and knows the token; where something is `published` there, whether that may write."""
    import requests
    from huggingface_hub import constants, get_token
    from huggingface_hub.utils import build_hf_headers

    token, bad = get_token(), "problem" if needed else "note"
    try:
        asked = requests.get(f"{constants.ENDPOINT}/api/whoami-v2", headers=build_hf_headers(token=token or False), timeout=SECONDS)
    except requests.RequestException as error:
        kind = type(error).__name__
        return Finding("hub", bad, f"{constants.ENDPOINT} can't be reached ({kind}): check HF_ENDPOINT and the network")  # type: ignore[arg-type]
    if token and asked.status_code in (401, 403):
        return Finding("hub", "problem", f"{constants.ENDPOINT} refuses the token: make a new one, and put it into HF_TOKEN")
    role = asked.json().get("auth", {}).get("accessToken", {}).get("role") if token and asked.ok else None
    if published is not None and role in (None, "read"):
        why = "there is no token" if role is None else "the token may only read"
        return Finding(
            "hub", "problem", f"publish.{published} writes to {constants.ENDPOINT}, and {why}: put one that may write into HF_TOKEN"
        )
    if token and asked.ok:
        return Finding("hub", "good", f"{constants.ENDPOINT} knows the token, as that of {asked.json().get('name', 'somebody')}")
    return Finding("hub", "good", f"{constants.ENDPOINT} answers; without a token only public repositories are seen")


def _s3(needed: bool) -> Finding:
    level = "problem" if needed else "note"
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        return Finding("s3", level, "boto3 is missing: pip install 'polar-tools[s3]'")  # type: ignore[arg-type]
    try:
        client = boto3.client("s3", config=Config(connect_timeout=SECONDS, read_timeout=SECONDS, retries={"max_attempts": 1}))
        buckets = client.list_buckets()["Buckets"]
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        return Finding("s3", level, f"S3 refuses the keys ({code}): check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")  # type: ignore[arg-type]
    except (BotoCoreError, ValueError) as error:
        return Finding("s3", level, redacted(f"S3 can't be asked: {error}"))  # type: ignore[arg-type]
    return Finding("s3", "good", f"{client.meta.endpoint_url} takes the keys; {len(buckets)} buckets")
