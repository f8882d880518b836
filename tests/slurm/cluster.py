"""A real Slurm cluster on this machine: virtual nodes with GPUs that are none, in a folder and on ports of its own, and without systemd.

Each node has a name space of mounts, in which /etc/slurm is this cluster's: all that runs in it is the node's, and is ended by its number.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.slurm import configuration, database

PATIENCE = 60.0
"""Seconds after which something that has not happened will not happen."""
LOOK = 0.1
PLACE = "/etc/slurm"
"""Where Slurm looks for its configuration: Snakemake's jobs lose SLURM_CONF on their way."""


@dataclass
class Cluster:
    """A cluster whose daemons were started; its commands see it by SLURM_CONF."""

    folder: Path
    nodes: tuple[str, ...]
    accounting: bool
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    spaces: dict[str, list[str]] = field(default_factory=dict)
    """Node -> the name spaces that it has, or had before it was started again."""

    @property
    def conf(self) -> Path:
        """Its slurm.conf."""
        return self.folder / "etc/slurm.conf"

    @property
    def environment(self) -> dict[str, str]:
        """What makes a command one of this cluster's."""
        return {"SLURM_CONF": str(self.conf)}

    def says(self, *command: str) -> str:
        """What one of Slurm's commands prints."""
        done = subprocess.run(command, env=os.environ | self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout

    def start_controller(self) -> None:
        """Start slurmctld, or start it again with the state that it left."""
        self._start("slurmctld", "slurmctld", "-D", "-f", str(self.conf))
        self.wait(lambda: self._answers("scontrol", "ping"), "the controller")

    def start_node(self, name: str, hidden: Path | None = None) -> None:
        """Start the daemon of a virtual node; of `hidden` it sees an empty folder."""
        mounts = [f"mount --bind {self.folder}/etc {PLACE}", *([] if hidden is None else [f"mount -t tmpfs none {hidden}"])]
        daemon = f"exec slurmd -D -N {name}"
        self._start(name, "unshare", "--mount", "sh", "-c", " && ".join([*mounts, daemon]))
        mine, number = os.readlink("/proc/self/ns/mnt"), self.daemons[name].pid
        self.wait(lambda: _space(number) != mine, f"{name} to have mounts of its own")
        self.spaces.setdefault(name, []).append(str(_space(number)))

    def ready(self) -> None:
        """Wait until every node takes jobs."""
        self.wait(lambda: self.states() == dict.fromkeys(self.nodes, "idle"), "idle nodes")

    def states(self) -> dict[str, str]:
        """Node -> state."""
        told = self.says("sinfo", "--noheader", "--Node", "--format=%N %t")
        return dict(line.split() for line in told.splitlines())

    def kill(self, name: str) -> None:
        """End a daemon at once, as a power cut does; its jobs live on."""
        daemon = self.daemons.pop(name)
        daemon.kill()
        daemon.wait()

    def crash(self, name: str) -> None:
        """End a node with all that runs on it."""
        self.kill(name)
        end(self.spaces.pop(name))

    def revive(self, name: str) -> None:
        """Start a node that crashed."""
        self.start_node(name)
        self.wait(lambda: self.states()[name] == "idle", f"{name} to come back")

    def quiet(self) -> None:
        """Cancel all jobs, and wait until every node is free and well again."""
        with suppress(AssertionError):
            self.says("scancel", "--user", "root")
        for name in self.nodes:
            if name not in self.daemons or self.daemons[name].poll() is not None:
                self.start_node(name)
        self.wait(lambda: not self.says("squeue", "--noheader").strip(), "the queue to be empty")
        self.ready()

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s\n{self._logs()}"
            time.sleep(LOOK)

    def stop(self) -> None:
        """End every process of it."""
        with suppress(AssertionError):
            self.says("scancel", "--user", "root")
        for space in self.spaces.values():
            end(space)
        for daemon in reversed(self.daemons.values()):
            daemon.terminate()
            daemon.wait()

    def _start(self, name: str, *command: str, **environment: str) -> None:
        log = (self.folder / "log" / f"{name}.out").open("ab")
        with log:
            self.daemons[name] = subprocess.Popen(
                command, env=os.environ | self.environment | environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def _answers(self, *command: str) -> bool:
        done = subprocess.run(command, env=os.environ | self.environment, capture_output=True, text=True, check=False)
        return done.returncode == 0 and "DOWN" not in done.stdout

    def _logs(self) -> str:
        return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-2000:]}" for log in sorted((self.folder / "log").iterdir()))


def end(spaces: Collection[str]) -> None:
    """SIGKILL, by their numbers, to all processes in these name spaces of mounts, until none is left."""
    while found := [number for number in map(int, filter(str.isdigit, os.listdir("/proc"))) if _space(number) in spaces]:
        for number in found:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        time.sleep(LOOK)


def _space(process: int) -> str | None:
    """The name space of mounts in which a living process is."""
    with suppress(OSError):
        if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
            return os.readlink(f"/proc/{process}/ns/mnt")
    return None


@contextmanager
def running(folder: Path, accounting: bool = False, **settings: str) -> Iterator[Cluster]:
    """A cluster in `folder`; `settings` are put into its slurm.conf."""
    cluster = Cluster(folder, configuration.NODES, accounting)
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("etc", "log", "run", "state", "spool"):
        (folder / name).mkdir(parents=True, mode=0o755)
    ports = free_ports(2 + len(cluster.nodes))
    configuration.write(folder, ports, accounting, settings)
    with ExitStack() as afterwards:
        afterwards.callback(cluster.stop)
        _start_munge(cluster)
        if accounting:
            database.start(cluster, ports[1])
        cluster.start_controller()
        for name in cluster.nodes:
            cluster.start_node(name)
        cluster.ready()
        yield cluster


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def _start_munge(cluster: Cluster) -> None:
    """A munged with a key and a socket of its own, so that no other cluster's messages count here."""
    key, run = cluster.folder / "etc/munge.key", cluster.folder / "run"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    files = {
        "socket": run / "munge",
        "pid-file": run / "munge.pid",
        "log-file": cluster.folder / "log/munge",
        "seed-file": run / "munge.seed",
    }
    told = [f"--{name}={file}" for name, file in files.items()]
    cluster._start("munged", "munged", "--foreground", "--force", f"--key-file={key}", *told)
    cluster.wait((run / "munge").exists, "munged")
