"""A real `mlflow server` on loopback: written to, asked, killed, started again on what it kept."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

QUIET = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


class Server:
    """Keeps everything below `folder`; always at the same port, so that whoever knew it finds it again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, _free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, patience: float = 120) -> None:
        """Be there, whatever was before."""
        if self.process is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        command += [
            "--backend-store-uri",
            f"sqlite:///{self.folder / 'mlflow.db'}",
            "--artifacts-destination",
            str(self.folder / "artifacts"),
        ]
        leash = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONSAFEPATH": "1", **QUIET}
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*leash, *command], cwd=self.folder, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        end = time.monotonic() + patience
        while not self._answers():
            assert self.process.poll() is None and time.monotonic() < end, (self.folder / "server.log").read_text()[-3000:]
            time.sleep(0.2)

    def kill(self) -> None:
        """As a machine that fails."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def client(self) -> Any:
        """MLflow's own, in this process."""
        os.environ.update(QUIET)
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def runs(self, experiment: str) -> dict[str, Any]:
        """All runs by their names, of which each must stand there once."""
        client = self.client()
        found = client.get_experiment_by_name(experiment)
        listed = [] if found is None else list(client.search_runs([found.experiment_id]))
        assert len({run.info.run_name for run in listed}) == len(listed), [run.info.run_name for run in listed]
        return {run.info.run_name: run for run in listed}

    def points(self, run: Any) -> dict[str, list[tuple[int, float]]]:
        """Every figure of a run with all its points, as they are kept."""
        client = self.client()
        return {name: [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, name)] for name in run.data.metrics}

    def files(self, run: Any, folder: str | None = None) -> set[str]:
        """The paths of a run's artifacts."""
        found = set()
        for entry in self.client().list_artifacts(run.info.run_id, folder):
            found |= self.files(run, entry.path) if entry.is_dir else {entry.path}
        return found

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """A server, ended with all that it started."""
    server = Server(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
