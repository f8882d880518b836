"""slurm.conf and its like: three virtual nodes with fake GPUs, and nothing that needs systemd or cgroups."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path

NODES = ("gpu01", "gpu02", "cpu01")
GPUS = {"gpu01": ("/dev/null", "/dev/zero"), "gpu02": ("/dev/null", "/dev/zero")}
"""Slurm wants device files for its GPUs, any devices."""
CPUS, MEMORY = 8, 64000
"""Of each node, whatever this machine has; memory in MiB."""


def write(folder: Path, ports: list[int], accounting: bool, settings: Mapping[str, str]) -> None:
    """Write slurm.conf, gres.conf and cgroup.conf below `folder`; the ports are the controller's, the database's, and one for each node."""
    host, etc = socket.gethostname().split(".")[0], folder / "etc"
    told = {
        "ClusterName": "polar",
        "SlurmctldHost": f"{host}(127.0.0.1)",
        "SlurmctldPort": str(ports[0]),
        "SlurmUser": "root",
        "SlurmdUser": "root",
        "AuthType": "auth/munge",
        "AuthInfo": f"socket={folder}/run/munge,cred_expire=10",  # what was queued again may start as soon as that
        "CredType": "cred/munge",
        "StateSaveLocation": f"{folder}/state",
        "SlurmdSpoolDir": f"{folder}/spool/%n",
        "SlurmctldPidFile": f"{folder}/run/slurmctld.pid",
        "SlurmdPidFile": f"{folder}/run/slurmd.%n.pid",
        "SlurmctldLogFile": f"{folder}/log/slurmctld",
        "SlurmdLogFile": f"{folder}/log/slurmd.%n",
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        "MpiDefault": "none",
        "SwitchType": "switch/none",
        "JobAcctGatherType": "jobacct_gather/linux",
        "JobAcctGatherFrequency": "task=1",
        "JobAcctGatherParams": "OverMemoryKill",  # the memory that a job asks for is all that it may have
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_Core_Memory",
        "SchedulerParameters": "sched_interval=1,bf_interval=1,batch_sched_delay=0,requeue_setup_env_fail",
        "SlurmdParameters": "config_overrides",  # more processors than there are
        "GresTypes": "gpu",
        "ReturnToService": "2",
        "SlurmctldTimeout": "20",
        "SlurmdTimeout": "10",
        "MessageTimeout": "5",
        "KillWait": "10",
        "MinJobAge": "300",
        "JobRequeue": "1",
        "PreemptType": "preempt/partition_prio",
        "PreemptMode": "REQUEUE",
        "EnforcePartLimits": "ALL",
        "AccountingStorageType": "accounting_storage/slurmdbd" if accounting else "accounting_storage/none",
    }
    if accounting:
        told |= {
            "AccountingStorageHost": "127.0.0.1",
            "AccountingStoragePass": f"{folder}/run/munge",
            "AccountingStoragePort": str(ports[1]),
            "AccountingStoreFlags": "job_comment",
        }
    lines = [f"{key}={value}" for key, value in {**told, **settings}.items()]
    for name, port in zip(NODES, ports[2:], strict=True):
        generic = f" Gres=gpu:fake:{len(GPUS[name])}" if name in GPUS else ""
        size = f"CPUS={CPUS} CoresPerSocket={CPUS} RealMemory={MEMORY}"
        lines.append(f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} {size}{generic}")
    everything = ",".join(NODES)
    lines += [
        f"PartitionName=all Nodes={everything} Default=YES MaxTime=1-0 State=UP PriorityTier=1",
        f"PartitionName=gpu Nodes={','.join(GPUS)} MaxTime=1-0 State=UP PriorityTier=1",
        f"PartitionName=cheap Nodes={everything} MaxTime=1-0 State=UP PriorityTier=1 PreemptMode=CANCEL",
        f"PartitionName=urgent Nodes={everything} MaxTime=1-0 State=UP PriorityTier=10 PreemptMode=OFF",
    ]
    gres = [f"NodeName={node} Name=gpu Type=fake File={file}" for node, files in GPUS.items() for file in files]
    for file, content in {"slurm.conf": lines, "gres.conf": gres, "cgroup.conf": ["CgroupPlugin=autodetect"]}.items():
        (etc / file).write_text("\n".join(content) + "\n", encoding="utf-8")
    os.chmod(etc, 0o755)
