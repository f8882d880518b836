"""A Slurm cluster: does it answer, has it what the profile and the config ask for, and can its nodes work in this folder?"""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from polar_tools import slurm_jobs
from polar_tools.doctor.base import Asked, Finding

SECONDS = 45
"""How long a node may take to answer."""
REMEMBERED = 3
"""How many times its first pause the executor wants Slurm to remember a job; else it asks sacct."""


def look(asked: Asked) -> Iterator[Finding]:
    """Nothing without a profile; else from whether there is a cluster to what a node can do."""
    if asked.profile is None:
        return
    profile = yaml.safe_load(asked.profile.read_text(encoding="utf-8")) or {}
    if profile.get("executor") != "slurm":
        yield Finding("profile", "note", f"{asked.profile} isn't for Slurm (`executor: {profile.get('executor')}`); nothing to look at")
        return
    done = _run("scontrol", "ping")
    if done is None or done.returncode:
        said = "there is no scontrol here" if done is None else _first(done.stdout + done.stderr)
        yield Finding("slurm", "problem", f"no cluster answers ({said}); log in to a machine that submits jobs, or run without --profile")
        return
    yield Finding("slurm", "good", _first(done.stdout))
    yield _statuses(profile)
    named: Mapping[str, Any] = profile.get("default-resources", {})
    yield from _partitions(asked, named)
    yield from _node(asked, named)


def _statuses(profile: Mapping[str, Any]) -> Finding:
    """How Snakemake asks what became of a job: sacct without accounting would be waited for for ever."""
    told = _run("scontrol", "show", "config")
    pairs = (line.partition("=") for line in (told.stdout if told else "").splitlines())
    config = {name.strip(): value.strip() for name, _, value in pairs}
    accounting = "slurmdbd" in config.get("AccountingStorageType", "")
    remembered = int(config.get("MinJobAge", "0").split(" ")[0])
    needed = REMEMBERED * int(profile.get("slurm-init-seconds-before-status-checks", 40))
    if profile.get("slurm-status-command") == "squeue":
        if remembered < needed and not accounting:
            advice = (
                f"Slurm forgets jobs after {remembered} s (MinJobAge), and squeue needs {needed}: have it raised, or accounting turned on"
            )
            return Finding("status", "problem", advice)
        return Finding("status", "good", f"jobs are asked for by squeue; accounting is {'on' if accounting else 'off'}")
    if accounting:
        return Finding("status", "note", "sacct hangs over cancelled jobs; `slurm-status-command: squeue` in the profile doesn't")
    return Finding(
        "status", "problem", "accounting is off, so that sacct would never answer: `slurm-status-command: squeue` in the profile"
    )


def _partitions(asked: Asked, named: Mapping[str, Any]) -> Iterator[Finding]:
    """Each partition that is asked for: is it there, and has a node of it as many GPUs as a job wants?"""
    there = _table("sinfo", "-h", "-o", "%P|%a|%G")
    default = next((name.rstrip("*") for name, *_ in there if name.endswith("*")), None)
    wanted = str(named.get("slurm_partition") or default or "")
    gpus = [_gpus(resources) for name, _, resources in there if name.rstrip("*") == wanted]
    if not gpus:
        names = ", ".join(sorted({name.rstrip("*") for name, *_ in there}))
        yield Finding("partition", "problem", f"there is no partition `{wanted}`; there are {names}: set `slurm_partition` in the profile")
        return
    most, needed = max(gpus), 0 if asked.plan is None else max(map(asked.plan.gpus, asked.plan.artifacts), default=0)
    if needed > most:
        yield Finding(
            "partition", "problem", f"a job asks for {needed} GPUs on a node, and no node of `{wanted}` has more than {most}; lower `gpus`"
        )
    else:
        yield Finding("partition", "good", f"`{wanted}`, up to {most} GPUs a node")
    tried = _run("sbatch", "--test-only", *_asking(named, needed), "--wrap", "true")
    if tried is not None and tried.returncode:
        yield Finding(
            "submission", "problem", f"Slurm would refuse a job: {_first(tried.stderr)}; set account, partition and QOS in the profile"
        )


def _node(asked: Asked, named: Mapping[str, Any]) -> Iterator[Finding]:
    """What a node says of this folder and of the environment, within a minute."""
    word = f".polar-doctor-{uuid.uuid4().hex}"
    script = [sys.executable, "-c", ON_A_NODE, str(Path.cwd()), word]
    done = _run("srun", "--immediate=30", *_asking(named, 0), "--time=1", "--mem=500", "-n1", *script, seconds=SECONDS)
    try:
        if done is None or done.returncode:
            said = "no answer" if done is None else _first(done.stderr) or f"status {done.returncode}"
            yield Finding("node", "problem", f"no node could work here ({said}): is {Path.cwd()} on a file system that nodes share?")
            return
        told = json.loads(done.stdout.splitlines()[-1])
        if not Path(word).is_file():
            yield Finding(
                "node", "problem", f"{told['host']} sees another {Path.cwd()} than this machine: work in a folder that nodes share"
            )
        elif told["error"]:
            yield Finding(
                "node", "problem", f"the environment doesn't work on {told['host']}: {told['error']}; install it where nodes see it"
            )
        else:
            yield Finding("node", "good", f"{told['host']} writes here and runs polar-tools {told['version']}")
            yield _reach(told)
    finally:
        Path(word).unlink(missing_ok=True)


def _reach(told: Mapping[str, Any]) -> Finding:
    """Whether nodes get to the Hub, which nothing that runs there needs."""
    if told["unreached"] is None:
        return Finding("node-hub", "good", f"{told['host']} reaches the Hub at {told['hub']}")
    advice = "mirroring and publishing run where snakemake does, so that no job needs it"
    return Finding("node-hub", "note", f"{told['host']} doesn't reach the Hub at {told['hub']} ({told['unreached']}); {advice}")


ON_A_NODE = """
import json, os, socket, sys
from urllib.parse import urlsplit
hub = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
found = {"host": socket.gethostname(), "error": None, "version": None, "hub": hub.hostname, "unreached": None}
os.chdir(sys.argv[1])
open(sys.argv[2], "w").close()
try:
    socket.create_connection((hub.hostname, hub.port or {"http": 80}.get(hub.scheme, 443)), timeout=5).close()
except OSError as error:
    found["unreached"] = str(error)
try:
    from polar_tools.version import __version__
    found["version"] = __version__
except Exception as error:
    found["error"] = str(error)
print(json.dumps(found))
"""


def _asking(named: Mapping[str, Any], gpus: int) -> list[str]:
    """What the profile says of every job, as options of sbatch and srun."""
    options = {"slurm_partition": "partition", "slurm_account": "account", "qos": "qos", "constraint": "constraint"}
    given = [f"--{option}={named[name]}" for name, option in options.items() if named.get(name)]
    return [*given, *([f"--gpus-per-node={gpus}"] if gpus else [])]


def _gpus(resources: str) -> int:
    """GPUs in a node's generic resources, such as `gpu:a100:4(S:0-1)`."""
    found = [part.partition("(")[0].split(":") for part in resources.split(",") if part.startswith("gpu:")]
    return sum(int(words[-1]) for words in found if words[-1].isdigit())


def _first(text: str) -> str:
    return text.strip().partition("\n")[0]


def _table(*command: str) -> list[list[str]]:
    done = _run(*command)
    return [line.split("|") for line in done.stdout.splitlines()] if done else []


def _run(*command: str, seconds: float = slurm_jobs.SECONDS) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
