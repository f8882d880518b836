"""Weights & Biases, online or offline."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from polar_tools.trackers import base

if TYPE_CHECKING:
    from wandb import Run as WandbRun

LIBRARIES = ("wandb",)
QUIET = {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true", "WANDB_CONSOLE": "off"}
PATIENCE = 10.0
"""Seconds until a server that says nothing counts as away."""
SETTINGS = {
    **dict.fromkeys(("x_disable_stats", "x_disable_meta", "x_disable_machine_info", "disable_git", "disable_code", "silent"), True),
    **{"x_save_requirements": False, "symlink": False, "console": "off", "init_timeout": PATIENCE, "finish_timeout": PATIENCE},
}
"""W&B would tell by itself of the machine, the command line, the repository and the packages; what it is told here stands on disk."""
STATES = {"running": 0, "finished": 0, "killed": 1}


class Options(base.Options):
    """Whose project the runs are in, and how they are marked."""

    tracker: Literal["wandb"] = "wandb"
    project: str = "{project}"
    """W&B's project; {project} stands for `project_name`."""
    entity: str | None = None
    """Whose project it is: a person or a team; W&B's default without it."""
    tags: tuple[str, ...] = ()
    """Tags of each run."""
    mode: Literal["online", "offline"] = "online"
    """offline writes into the folder `wandb` below the project, and `wandb sync --append` sends that later."""
    base_url: str | None = None
    """A server of one's own; without it WANDB_BASE_URL, or W&B's."""
    token_file: str | None = None
    """A file that holds the API key, for WANDB_API_KEY."""


def destination(options: Options, root: Path) -> str:
    """The server, and whose project."""
    from polar_tools.secrets import redacted

    where = "offline" if options.mode == "offline" else options.base_url or os.environ.get("WANDB_BASE_URL") or "wandb.ai"
    return redacted("/".join(filter(None, [where, options.entity, options.project])))


def token(options: Options) -> str | None:
    """What W&B reads."""
    return "WANDB_API_KEY"


def door(options: Options) -> base.Door | None:
    """Who the key's owner is; None where runs are kept here."""
    from requests.utils import get_netrc_auth

    from polar_tools import secrets

    if options.mode == "offline":
        return None
    server = (options.base_url or os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai").rstrip("/")
    key = secrets.read(Path(options.token_file)) if options.token_file else os.environ.get("WANDB_API_KEY")
    who = ("api", key) if key else get_netrc_auth(server)  # where `wandb login` leaves it
    return base.Door(
        secrets.redacted(server), f"{server}/graphql?query=%7Bviewer%7Busername%7D%7D", who, {}, "`wandb login` or WANDB_API_KEY"
    )


def open(options: Options, run: base.Run, root: Path) -> base.Session:
    """The run with the id of ours; W&B takes what it is told for the same run wherever the id is the same."""
    os.environ.update(QUIET)
    if options.base_url:
        os.environ["WANDB_BASE_URL"] = options.base_url
    import wandb

    (root / "wandb").mkdir(exist_ok=True)
    made = wandb.init(
        id=run.id,
        project=re.sub(r"[/\\#?%:]", "-", run.filled(options.project)),
        entity=options.entity,
        name=run.filled(options.name),
        group=run.experiment,
        tags=list(options.tags),
        dir=str(root),
        mode=options.mode,
        resume="allow",
        reinit="create_new",
        settings=wandb.Settings(**SETTINGS),
    )
    return _Session(made, run)


class _Session(base.Session):
    def __init__(self, made: WandbRun, run: base.Run) -> None:
        self.made, self.run, self.run_id = made, run, run.id

    def about(self, config: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Both in the run's config: its tags are words without values."""
        self.made.config.update({**config, **tags}, allow_val_change=True)

    def rows(self, rows: Sequence[base.Row]) -> None:
        """One counter for all: W&B drops what is told of an earlier step, so nothing is doubled. Results belong to no step."""
        for row in rows:
            if row.is_result:
                self.made.summary.update(dict(row.values))
            else:
                self.made.log(dict(row.values), step=row.at)

    def file(self, name: str, content: bytes) -> None:
        """A file of the run."""
        path = Path(self.made.dir, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.made.save(str(path), base_path=self.made.dir, policy="now")

    def model(self, model: base.Model) -> None:
        """An artifact of type `model` with its records; what is the same is kept once."""
        import wandb

        metadata: dict[str, Any] = dict(model.tags)
        artifact = wandb.Artifact(re.sub(r"[^\w\-.]", "-", self.run.experiment), type="model", metadata=metadata)
        with tempfile.TemporaryDirectory(prefix="polar-track-") as folder:
            for name, content in model.about.items():
                path = Path(folder, name.replace("/", "--"))
                path.write_bytes(content)
                artifact.add_file(str(path), name=name)
            self.made.log_artifact(artifact)

    def close(self, state: base.State) -> None:
        """Everything is handed over before it ends."""
        self.made.finish(exit_code=STATES[state])
