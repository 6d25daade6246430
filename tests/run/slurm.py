"""A SLURM of one node for tests: a controller, a node and their authentication, in a folder of their own.

Debian's packages ``slurmctld``, ``slurmd``, ``slurm-client`` and ``munge`` are all it takes, and the right to be root.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from evomerge.contracts.watching import gone, wait_for

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "scontrol", "scancel", "sinfo", "munged")
CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={port}
SlurmdPort={node_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=10
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
KillWait=60
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class Slurm:
    """A cluster of one node.

    Args:
        folder: Holds its configuration, its state and its logs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}

    def run(self, *words: str) -> str:
        """The output of one of SLURM's programs."""
        done = subprocess.run(words, env=self._environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{words}: {done.stderr}{done.stdout}"
        return done.stdout

    def tasks(self) -> dict[str, dict[str, str]]:
        """The fields of each task of an array job that is known, by its number."""
        lines = self.run("scontrol", "-o", "show", "job").splitlines()
        found = (dict(re.findall(r"(\w+)=(\S+)", line)) for line in lines)
        return {fields["ArrayTaskId"]: fields for fields in found if "ArrayTaskId" in fields}


@contextmanager
def slurm(folder: Path) -> Iterator[Slurm]:
    """Starts a cluster; skips the test where that cannot be."""
    missing = [program for program in PROGRAMS if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs Debian's slurmctld, slurmd, slurm-client and munge, as root ({', '.join(missing)})")
    for name in ("state", "spool", "munge"):
        (folder / name).mkdir(parents=True)
    key = folder / "munge" / "key"
    key.write_bytes(secrets.token_bytes(32))
    for path in (key, key.parent):
        path.chmod(0o600 if path == key else 0o700)
    ports = dict(zip(("port", "node_port"), _free_ports(), strict=True))
    (folder / "slurm.conf").write_text(CONF.format(folder=folder, host=socket.gethostname(), **ports))
    found = Slurm(folder)
    munge = [f"--{name}={folder}/munge/{name.removesuffix('-file')}" for name in ("socket", "key-file", "pid-file")]
    munge += [f"--log-file={folder}/munge/log", f"--seed-file={folder}/munge/seed"]
    try:
        found.run("/usr/sbin/munged", "--force", *munge)
        found.run("/usr/sbin/slurmctld")
        found.run("/usr/sbin/slurmd")
        wait_for(lambda: "idle" in found.run("sinfo", "-h", "-o", "%t"), 60)
        yield found
    finally:
        for pid in (folder / "slurmd.pid", folder / "slurmctld.pid", folder / "munge" / "pid"):
            with suppress(OSError, ValueError):
                number = int(pid.read_text())
                os.kill(number, signal.SIGTERM)
                wait_for(lambda number=number: gone(number), 30)


def _free_ports() -> list[int]:
    with socket.socket() as one, socket.socket() as two:
        for each in (one, two):
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in (one, two)]
