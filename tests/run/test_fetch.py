"""Everything that a search reads is fetched once, with its hash; the search then needs no network."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TextIO

import pytest

from evomerge.contracts.watching import wait_for
from tests.apart import Apart, Forked
from tests.hub import Hub
from tests.run.family import ROOT, Family, records, write_task

OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE", "TRANSFORMERS_OFFLINE")
TASK = """\
task: far
dataset_path: someone/data
test_split: test
output_type: multiple_choice
doc_to_text: '{{question}}'
doc_to_choice: options
doc_to_target: answer
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
_FAR = re.compile(r"sa_family=AF_INET6?,.*?(?:inet_addr\(\"(?!127\.)|inet_pton\(AF_INET6, \"(?!::1\"))")
_SOCKET = re.compile(r"socket\(AF_INET6?,")
# One process, since what the hub's library knows of its address it reads once, on import.
PROGRAM = """
import os, sys
from evomerge.cli.main import main

os.dup2(1, 2)
with open(sys.argv[1]) as orders:
    for _ in orders:
        print("exit code", main(sys.argv[2:]), flush=True)
"""


SEARCHES = """
import json, sys
from evomerge.cli.main import main

sys.exit(max(main(["search", *words]) for words in json.loads(sys.argv[1])))
"""


def searched_without_network(searches: list[list[str]], trace: Path, hub: Path) -> subprocess.CompletedProcess[str]:
    """Runs searches under strace where there is no network."""
    command = [shutil.which("unshare") or "unshare", "--net", "--map-root-user"]
    command += ["strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=socket,bind,connect,sendto,sendmsg,sendmmsg"]
    command += ["-o", str(trace), sys.executable, "-c", SEARCHES, json.dumps(searches)]
    settings = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(trace.parent), "OMP_NUM_THREADS": "1"}
    settings["HF_HOME"] = str(hub)
    # Kernels that are compiled and fonts that are listed already: neither is what is looked at here.
    settings["XDG_CACHE_HOME"] = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return subprocess.run(command, env=settings, capture_output=True, text=True, cwd=trace.parent, check=False)


def told(process: Forked, orders: TextIO) -> str:
    """Lets the program fetch once; everything that it prints."""
    before = len(process.printed())
    orders.write("\n")
    orders.flush()

    def fetched() -> str:
        return process.printed()[before:]

    wait_for(lambda: bool(re.search(r"^exit code \d+\n", fetched(), re.MULTILINE)) or process.poll() is not None, 600.0)
    assert process.poll() is None, fetched()
    return fetched()


@pytest.mark.network
def test_faults_are_told_and_mended_and_the_search_then_opens_no_socket(
    bare: Apart, family: Family, tmp_path: Path
) -> None:
    data, tasks = tmp_path / "data", tmp_path / "tasks"
    for folder in (data, tasks):
        folder.mkdir()
    write_task(data, "test", 10)
    (data / "test.yaml").unlink()
    (tasks / "far.yaml").write_text(TASK)
    words = ["models=[someone/one,someone/two]", "base=someone/base", "tasks=[far]", f"task_path={tasks}"]
    words += ["evaluations=3", "items_per_task=5", f"run_dir={tmp_path / 'run'}", "model.threads=1"]
    shutil.copytree(family.folder / "base", tmp_path / "base")
    (tmp_path / "base" / "notes.txt").write_bytes(bytes(25_000_000))
    models = {f"models/someone/{name}": family.folder / name for name in ("one", "two")} | {
        "models/someone/base": tmp_path / "base"
    }
    with Hub(**models, **{"datasets/someone/data": data}) as hub:
        settings = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "hub"), "NO_PROXY": "127.0.0.1"}
        settings |= dict.fromkeys(OFFLINE, "0")
        hub.cut, hub.changed, hub.lost = {"notes.txt"}, {"tokenizer.json"}, {"test.jsonl"}
        os.mkfifo(tmp_path / "orders")
        process = bare.start(PROGRAM, str(tmp_path / "orders"), "fetch", *words, cwd=tmp_path, **settings)
        with (tmp_path / "orders").open("w") as orders:
            first = told(process, orders)
            assert first.endswith("exit code 2\n"), first
            for name in ("base", "one", "two"):
                assert f"tokenizer.json of 'someone/{name}' is not what the hub has" in first
            resumed = [part for _, path, part in hub.asked if part and path.endswith("notes.txt")]
            assert resumed == ["bytes=10485760-"], "what had come of the file that broke off is kept"
            assert not list(tmp_path.glob("hub/hub/**/snapshots/*/tokenizer.json"))

            hub.changed, hub.asked = set(), []
            second = told(process, orders)
            assert second.endswith("exit code 2\n"), second
            assert "task 'far'" in second
            assert not [path for method, path, _ in hub.asked if method == "GET" and path.endswith(".safetensors")]

            hub.lost = set()
            third = told(process, orders)
            assert third.endswith("exit code 0\n"), third
            assert "fetched someone/data: 1 files" in third
            assert f"task_path={tasks}" in third.splitlines()[-2]
            assert "offline=true" in third.splitlines()[-2]
        assert process.wait() == 0
    local = family.words(tmp_path / "local", evaluations=2, items_per_task=4)
    done = searched_without_network([local, [*words, "offline=true"]], tmp_path / "trace", tmp_path / "hub")
    assert done.returncode == 0, done.stderr
    assert len(records(tmp_path / "run")) > 3
    assert (tmp_path / "local" / "report.html").exists()
    trace = (tmp_path / "trace").read_text(errors="replace")
    # A library looks on import whether this machine has IPv6, by binding a socket to its own address.
    assert len(_SOCKET.findall(trace)) <= trace.count("bind(") <= 1
    assert not _FAR.search(trace)
    # The same way of looking sees a program that does reach out.
    probe = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect_ex(('192.0.2.1', 9))"
    strace = ["strace", "-f", "-qq", "-e", "trace=connect", "-o", str(tmp_path / "probe"), sys.executable, "-c", probe]
    assert subprocess.run(strace, check=False).returncode == 0
    assert _FAR.search((tmp_path / "probe").read_text())
