"""`snakemake --profile slurm` in a project, watched and disturbed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.slurm.cluster import LOOK, Cluster

TRAIN = "results/say/seed0/train"
TARGET = f"{TRAIN}/manifest.json"
QUICK = ("--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "20")
"""What a test has no time for otherwise."""
PATIENCE = 300.0


@dataclass
class Project:
    """A project's folder, and the Snakemake that works in it on a cluster."""

    folder: Path
    cluster: Cluster
    main: subprocess.Popen[bytes] | None = None
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *words: str, **environment: str) -> None:
        """Start `snakemake --profile slurm WORDS`; what it prints is added to the file `main.out`."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = {**os.environ, **self.cluster.environment, "PATH": path, "HF_HUB_OFFLINE": "1", **environment}
        with (self.folder / "main.out").open("ab") as out:
            command = ("snakemake", "--profile", "slurm", *words)
            self.main = subprocess.Popen(command, cwd=self.folder, env=env, stdout=out, stderr=out, start_new_session=True)
        self.started.append(self.main)

    def finish(self, seconds: float = PATIENCE) -> int:
        """Wait for Snakemake's end; gives its exit status."""
        assert self.main is not None
        try:
            return self.main.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"snakemake hasn't ended within {seconds:.0f} s\n{self.said}\n{self.queue()}") from None

    def run(self, *words: str, **environment: str) -> str:
        """Run Snakemake to its good end; gives what it printed."""
        self.start(*words, **environment)
        assert self.finish(3 * PATIENCE) == 0, f"{self.said}\n{self.queue()}"
        return self.said

    def end(self) -> None:
        """End every Snakemake that was started."""
        for main in self.started:
            if main.poll() is None:
                os.killpg(main.pid, signal.SIGKILL)
                main.wait()

    def kill(self) -> None:
        """SIGKILL to Snakemake; its jobs live on."""
        assert self.main is not None
        os.killpg(self.main.pid, signal.SIGKILL)
        self.main.wait()

    @property
    def said(self) -> str:
        """All that Snakemake printed."""
        return (self.folder / "main.out").read_text(encoding="utf-8", errors="replace")

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
        """What `condition` gives, once it gives something; Snakemake must be at work meanwhile."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert self.main is None or self.main.poll() is None, f"{what}: snakemake ended before\n{self.said}"
            assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s\n{self.said}\n{self.queue()}"
            time.sleep(LOOK)
        return found

    def edit(self, *replacements: tuple[str, str]) -> None:
        """Change words of the config."""
        file = self.folder / "config/config.yaml"
        text = file.read_text(encoding="utf-8")
        for old, new in replacements:
            assert old in text, old
            text = text.replace(old, new)
        file.write_text(text, encoding="utf-8")

    def queue(self) -> str:
        """Every job of this project that Slurm knows, by number: number, state, reason, node, comment, memory."""
        told = self.cluster.says("squeue", "--states=all", "--noheader", "--format=%i|%T|%r|%N|%k|%m|%Z").splitlines()
        return "\n".join(sorted((line for line in told if line.endswith(f"|{self.folder}")), key=lambda line: int(line.split("|")[0])))

    def jobs(self, state: str = "", comment: str = "") -> list[tuple[str, str]]:
        """Number and node of each job in a state, for a purpose; by number."""
        told = [line.split("|") for line in self.queue().splitlines()]
        return [(line[0], line[3]) for line in told if line[1].startswith(state) and comment in line[4]]

    def checkpoint(self, step: int) -> bool:
        """Whether the training has marked a checkpoint at that step or later as whole."""
        steps = [int(path.parent.name.rpartition("-")[2]) for path in (self.folder / TRAIN / "checkpoints").glob("checkpoint-*/complete")]
        return max(steps, default=0) >= step

    def owner(self) -> int:
        """The process that works on the training."""
        return int(json.loads((self.folder / TRAIN / ".lock").read_bytes())["pid"])

    def log(self) -> str:
        """What the training printed last."""
        file = self.folder / "logs/say/seed0/train.log"
        return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""

    def record(self, path: str = TRAIN) -> bytes:
        """The record of an artifact: the same bytes for the same work."""
        return (self.folder / path / "record.json").read_bytes()

    def manifest(self, path: str = TRAIN) -> dict[str, Any]:
        """What an artifact's manifest says."""
        found: dict[str, Any] = json.loads((self.folder / path / "manifest.json").read_bytes())
        return found


def records(folder: Path) -> dict[str, bytes]:
    """The record of every artifact in a project's folder."""
    files = [*folder.glob("results/**/record.json"), *folder.glob("resources/**/record.json")]
    return {file.parent.relative_to(folder).as_posix(): file.read_bytes() for file in files}
