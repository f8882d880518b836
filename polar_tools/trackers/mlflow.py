"""MLflow: a server, or an sqlite file below the project."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from polar_tools.trackers import base

if TYPE_CHECKING:
    from mlflow import MlflowClient

LIBRARIES = ("mlflow-skinny",)
OWN = "mlflow"
"""The folder below the project for what has no server."""
TAG = "polar.run"
MOST = 900
"""Metrics in one request; MLflow takes 1000."""
MOST_PARAMS = 100
LONGEST_PARAM, LONGEST_TAG = 6000, 5000
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # whoever sends begins again by itself
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
KIND = {"mlflow.experimentKind": "custom_model_development"}
"""Has MLflow's pages show trainings, rather than conversations with a model."""
STATES = {"running": "RUNNING", "finished": "FINISHED", "killed": "KILLED"}


class Options(base.Options):
    """Where the server is, and what is registered there."""

    tracker: Literal["mlflow"] = "mlflow"
    tracking_uri: str | None = None
    """The server (http://, https://), or a database such as sqlite:///runs.db; without it MLFLOW_TRACKING_URI, or else an sqlite file in
    the folder `mlflow` below the project. A user and a password go into MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."""
    experiment_name: str = "{project}"
    """MLflow's experiment, in which the runs lie; {project} and {experiment} stand for those of the config."""
    tags: dict[str, str] = {}
    """More tags of each run."""
    registered_model_name: str | None = "{experiment}"
    """The name in the registry under which each training's model becomes a version; null registers none."""
    log_model: bool = False
    """Send the model's files too. Without it a version has the model's records, and tags that say where the files are and their hashes."""
    token_file: str | None = None
    """A file that holds the token, for MLFLOW_TRACKING_TOKEN."""

    def seconds(self) -> float:
        """Files of models take their time."""
        return 600.0 if self.log_model else super().seconds()


def destination(options: Options, root: Path) -> str:
    """The server's or database's URI, and the experiment."""
    from polar_tools.secrets import redacted

    return redacted(f"{_uri(options, root)} {options.experiment_name}")


def token(options: Options) -> str | None:
    """What MLflow reads."""
    return "MLFLOW_TRACKING_TOKEN"


def door(options: Options) -> base.Door | None:
    """The list of experiments; None for a database, or a folder."""
    from polar_tools import secrets

    uri = options.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or ""
    if not uri.startswith(("http://", "https://")):
        return None
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{name}", "") for name in ("USERNAME", "PASSWORD"))
    key = secrets.read(Path(options.token_file)) if options.token_file else os.environ.get("MLFLOW_TRACKING_TOKEN")
    return base.Door(
        secrets.redacted(uri),
        f"{uri.rstrip('/')}/api/2.0/mlflow/experiments/search?max_results=1",
        (user, password) if user else None,
        {"Authorization": f"Bearer {key}"} if key else {},
        "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    )


def open(options: Options, run: base.Run, root: Path) -> base.Session:
    """The run with the tag `polar.run`, made where there is none."""
    uri = _uri(options, root)
    os.environ.update({**QUIET, "MLFLOW_TRACKING_URI": uri})  # parts of MLflow ask for the default, whatever their client was told
    from mlflow import MlflowClient

    with _alone(root / run.path / base.NOTES if _is_server(uri) else root / OWN):
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        experiment = _experiment(client, run.filled(options.experiment_name), None if _is_server(uri) else root)
        found = client.search_runs([experiment], f"tags.`{TAG}` = '{run.id}'", max_results=1)
        began = None if run.began is None else int(run.began * 1000)
        name, tags = run.filled(options.name), {TAG: run.id, **options.tags}
        made = found[0] if found else client.create_run(experiment, start_time=began, run_name=name, tags=tags)
    if found and made.info.status != "RUNNING":
        client.update_run(made.info.run_id, status="RUNNING")
    return _Session(client, options, run, made.info.run_id, experiment)


class _Session(base.Session):
    def __init__(self, client: MlflowClient, options: Options, run: base.Run, run_id: str, experiment: str) -> None:
        self.client, self.options, self.run, self.run_id, self.experiment = client, options, run, run_id, experiment

    def last(self) -> Mapping[str, tuple[int, float]]:
        """As the server has it."""
        names = self.client.get_run(self.run_id).data.metrics
        histories = {name: self.client.get_metric_history(self.run_id, name) for name in names}
        return {name: max((one.step, one.timestamp, one.value) for one in history)[::2] for name, history in histories.items() if history}

    def about(self, config: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Parameters, which MLflow lets nobody change, and tags."""
        from mlflow.entities import Param, RunTag

        there = self.client.get_run(self.run_id).data.params
        new = [Param(_name(key), value[:LONGEST_PARAM]) for key, value in config.items() if _name(key) not in there]
        for start in range(0, len(new), MOST_PARAMS):
            self.client.log_batch(self.run_id, params=new[start : start + MOST_PARAMS])
        told = [RunTag(_name(key), value[:LONGEST_TAG]) for key, value in tags.items()]
        for start in range(0, len(told), MOST_PARAMS):
            self.client.log_batch(self.run_id, tags=told[start : start + MOST_PARAMS])

    def rows(self, rows: Sequence[base.Row]) -> None:
        """Metrics by step."""
        from mlflow.entities import Metric

        told = [Metric(_name(key), value, int(row.time * 1000), row.step) for row in rows for key, value in row.values.items()]
        for start in range(0, len(told), MOST):
            self.client.log_batch(self.run_id, metrics=told[start : start + MOST])

    def file(self, name: str, content: bytes) -> None:
        """An artifact of the run."""
        with _written({name: content}) as folder:
            self.client.log_artifacts(self.run_id, str(folder))

    def model(self, model: base.Model) -> None:
        """A version of the registered model, unless there is one of the same record."""
        from mlflow.entities import LoggedModelOutput

        if self.options.registered_model_name is None:
            return
        name = re.sub(r"[/:%\"']", "-", self.run.filled(self.options.registered_model_name))
        tags = {_name(key): value[:LONGEST_TAG] for key, value in {TAG: self.run.id, **model.tags}.items()}
        same = [f"tags.`{key}` = '{tags[key]}'" for key in (TAG, "polar.record")]
        if self.client.search_model_versions(" and ".join([f"name = '{name}'", *same])):
            return
        self._register(name)
        logged = self.client.create_logged_model(self.experiment, name=name, source_run_id=self.run_id, tags=tags)
        with _written(model.about) as folder:
            self.client.log_model_artifacts(logged.model_id, str(folder))
        if self.options.log_model:
            self.client.log_model_artifacts(logged.model_id, str(model.folder))
        self.client.finalize_logged_model(logged.model_id, "READY")
        self.client.log_outputs(self.run_id, [LoggedModelOutput(logged.model_id, 0)])
        source = f"models:/{logged.model_id}"
        self.client.create_model_version(name, source, run_id=self.run_id, tags=tags, model_id=logged.model_id, await_creation_for=0)

    def _register(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def close(self, state: base.State) -> None:
        """A run that isn't over stays as it is."""
        if state != "running":
            ended = None if self.run.ended is None else int(self.run.ended * 1000)
            self.client.set_terminated(self.run_id, STATES[state], ended)


def _uri(options: Options, root: Path) -> str:
    """As the config has it, or the environment; paths of databases are below the project."""
    given = options.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not given:
        return f"sqlite:///{(root / OWN / 'mlflow.db').resolve()}"
    kind, found, path = given.partition(":///")
    return f"{kind}:///{(root / path).resolve()}" if found and kind == "sqlite" else given


def _is_server(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else, while tables, an experiment or a run are made that are to be there once."""
    from filelock import FileLock

    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "opening", timeout=30):
        yield


def _experiment(client: MlflowClient, name: str, root: Path | None) -> str:
    """The experiment's number; one that is new in a database below `root` keeps its files beside it."""
    from mlflow.exceptions import MlflowException

    if (found := client.get_experiment_by_name(name)) is not None:
        return str(found.experiment_id)
    location = None if root is None else (root / OWN / "artifacts").resolve().as_uri()
    try:
        return str(client.create_experiment(name, artifact_location=location, tags=KIND))
    except MlflowException:
        if (found := client.get_experiment_by_name(name)) is not None:  # another machine was faster
            return str(found.experiment_id)
        raise


def _name(text: str) -> str:
    """`text` in the letters that MLflow takes for names."""
    return re.sub(r"[^\w\-. /:]", "_", text)[:250]


@contextmanager
def _written(files: Mapping[str, bytes]) -> Iterator[Path]:
    """A folder with these files, while it is needed."""
    with tempfile.TemporaryDirectory(prefix="polar-track-") as made:
        for name, content in files.items():
            path = Path(made, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        yield Path(made)
