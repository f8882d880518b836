#!/usr/bin/env python3
"""What Snakemake's generic executor calls: `submit` makes a Job of job.yaml and prints its name, `status` and `cancel` take such names."""

import argparse
import json
import re
import subprocess
import uuid
from pathlib import Path

import yaml

TEMPLATE = Path(__file__).with_name("job.yaml")
# The first process of a pod is all that hears SIGTERM: it hands it on to the training, which saves, and waits for all.
RUN = """trap 'trap "" TERM; kill -TERM 0' TERM; (trap : TERM; . '{script}') & wait $!; wait $!"""


def submit(options: argparse.Namespace) -> str:
    """Make the Job; its name."""
    job = yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))
    rule = re.sub(r"[^a-z0-9]+", "-", options.name.lower()).strip("-")[:30]
    job["metadata"]["name"] = f"polar-{rule}-{uuid.uuid4().hex[:12]}"
    job["spec"]["activeDeadlineSeconds"] = options.minutes * 60
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    container["command"] = ["bash", "-c", RUN.format(script=options.script)]
    asked = {"cpu": str(options.cpus), "memory": f"{options.mem_mb}Mi", **({"nvidia.com/gpu": str(options.gpus)} if options.gpus else {})}
    container["resources"] = {"requests": asked, "limits": {name: value for name, value in asked.items() if name != "cpu"}}
    kubectl("create", "-f", "-", given=json.dumps(job))
    return str(job["metadata"]["name"])


def status(options: argparse.Namespace) -> str:
    """`success`, `failed` or `running`, as the executor wants it. A Job that is gone has failed: its manifest would be there."""
    found = kubectl("get", "job", options.names[0], "--ignore-not-found", "-o", "json")
    told = json.loads(found)["status"] if found.strip() else {"failed": 1}
    done = {one["type"] for one in told.get("conditions", ()) if one["status"] == "True"}
    if told.get("succeeded") or "Complete" in done:
        return "success"
    return "failed" if told.get("failed") or "Failed" in done else "running"


def cancel(options: argparse.Namespace) -> str:
    """Delete Jobs, and with them their pods, which are told to end."""
    return kubectl("delete", "job", "--wait=false", "--ignore-not-found", *options.names).strip()


def kubectl(*words: str, given: str | None = None) -> str:
    """What kubectl prints."""
    command = ("kubectl", *words)
    return subprocess.run(command, input=given, stdout=subprocess.PIPE, text=True, check=True).stdout


def main() -> None:
    """One of the three commands."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("submit")
    one.add_argument("--name", required=True)
    for option in ("--cpus", "--mem-mb", "--minutes", "--gpus"):
        one.add_argument(option, type=int, required=True)
    one.add_argument("script")
    one.set_defaults(do=submit)
    for command in (status, cancel):
        one = commands.add_parser(command.__name__)
        one.add_argument("names", nargs="+")
        one.set_defaults(do=command)
    options = parser.parse_args()
    print(options.do(options))


if __name__ == "__main__":
    main()
