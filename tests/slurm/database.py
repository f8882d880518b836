"""Accounting: slurmdbd over a MariaDB of the cluster's own."""

import getpass
import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.slurm.cluster import Cluster


def start(cluster: "Cluster", port: int) -> None:
    """Start both, and tell the database of the cluster."""
    folder = cluster.folder
    data, socket = folder / "mysql", folder / "run/mysql"
    subprocess.run(
        (
            "mariadb-install-db",
            "--no-defaults",
            f"--datadir={data}",
            f"--user={getpass.getuser()}",
            "--auth-root-authentication-method=socket",
        ),
        check=True,
        capture_output=True,
    )
    cluster._start(
        "mariadbd",
        "mariadbd",
        "--no-defaults",
        f"--datadir={data}",
        f"--socket={socket}",
        "--skip-networking",
        f"--user={getpass.getuser()}",
    )
    cluster.wait(socket.exists, "MariaDB")
    conf = folder / "etc/slurmdbd.conf"
    told = {
        "AuthType": "auth/munge",
        "AuthInfo": f"socket={folder}/run/munge",
        "DbdHost": "localhost",
        "DbdAddr": "127.0.0.1",
        "DbdPort": str(port),
        "SlurmUser": "root",
        "StorageType": "accounting_storage/mysql",
        "StorageHost": "localhost",
        "StorageUser": "root",
        "StorageLoc": "slurm",
        "PidFile": f"{folder}/run/slurmdbd.pid",
        "LogFile": f"{folder}/log/slurmdbd",
    }
    conf.touch(mode=0o600)
    conf.write_text("".join(f"{key}={value}\n" for key, value in told.items()), encoding="utf-8")
    cluster._start("slurmdbd", "slurmdbd", "-D", MYSQL_UNIX_PORT=str(socket))
    cluster.wait(lambda: _listed(cluster), "slurmdbd")
    for words in (
        ("add", "cluster", "polar"),
        ("add", "account", "lab", "cluster=polar"),
        ("add", "user", "root", "account=lab", "cluster=polar"),
    ):
        cluster.says("sacctmgr", "-i", *words)


def _listed(cluster: "Cluster") -> bool:
    command = ("sacctmgr", "--noheader", "list", "cluster")
    return subprocess.run(command, env=os.environ | cluster.environment, capture_output=True, check=False).returncode == 0
