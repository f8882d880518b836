"""What is published, and what no config may hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from polar_tools.conversions.base import EXPERIMENT, Draft, Secret, To, places

HUB = ("hub_model_id", "hub_strategy")
BUCKET = "minio_model_save_bucket"
SECRETS = {
    "hugging_face_token": Secret("HF_TOKEN"),
    "minio_access_key": Secret("AWS_ACCESS_KEY_ID"),
    "minio_secret_key": Secret("AWS_SECRET_ACCESS_KEY"),
}
NAMES = ("push_to_hub", "push_to_minio", *HUB, BUCKET, "model_commit_msg", "hugging_face_user_id", "minio_url", *SECRETS)
AT = f"publish.{EXPERIMENT}"
PUBLISHED = "the trained model is published once all gates are passed; what model and rows may be used for, say in `licenses`"
MODELS = "models"
"""The bucket into which POLAR Trainer saves where none is named."""


def publish(said: Mapping[str, Any], draft: Draft) -> None:
    """Put where the trained model goes, if anywhere."""
    to_hub, to_bucket = bool(said.get("push_to_hub")), bool(said.get("push_to_minio"))
    draft.drop(said, [name for name in ("push_to_hub", "push_to_minio") if not said.get(name)], "nothing is published there")
    if to_hub or to_bucket:
        draft.put(f"{AT}.experiment", EXPERIMENT, text=PUBLISHED)
        draft.apply(said, {"model_commit_msg": To(f"{AT}.message", str)})
    else:
        draft.drop(said, ["model_commit_msg"], "nothing is published")
    _hub(said, draft) if to_hub else draft.drop(said, [*HUB, "hugging_face_user_id"], "read only with push_to_hub")
    _bucket(said, draft) if to_bucket else draft.drop(said, [BUCKET], "read only with push_to_minio")


def _hub(said: Mapping[str, Any], draft: Draft) -> None:
    draft.put(f"{AT}.push_to_hub", True, "push_to_hub")
    draft.apply(said, {"hub_strategy": To(f"{AT}.hub_strategy")})
    if "hub_model_id" in said:
        draft.put(f"{AT}.hub_model_id", said["hub_model_id"], "hub_model_id")
        draft.drop(said, ["hugging_face_user_id"], "hub_model_id says whose it is")
        return
    owner, name = said.get("hugging_face_user_id"), _plain(said.get("project_name", "polar"))
    draft.put(f"{AT}.hub_model_id", f"{owner}/{name}" if owner else name, "hugging_face_user_id" if owner else "", "with project_name")


def _bucket(said: Mapping[str, Any], draft: Draft) -> None:
    """POLAR Trainer saves below a folder of the project's name."""
    draft.put(f"{AT}.push_to_minio", True, "push_to_minio")
    place = f"{str(said.get(BUCKET, MODELS)).strip('/')}/{_plain(said.get('project_name', 'polar'))}"
    draft.put(f"{AT}.{BUCKET}", place, BUCKET if BUCKET in said else "", "below it, in a folder of the project's name")


def _plain(name: Any) -> str:
    """A project's name as it may stand in an address."""
    return re.sub(r"[^\w.-]+", "-", str(name)).strip("-")


def secrets(arguments: Mapping[str, Any], draft: Draft) -> None:
    """Have tokens and keys stand in the environment; an empty one has been noted already."""
    draft.apply({name: value for name, value in arguments.items() if value}, SECRETS)
    if arguments.get("minio_url"):
        places.store(draft, "minio_url", str(arguments["minio_url"]))
