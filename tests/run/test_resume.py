"""The same command goes on where it was killed, and ends as if nothing had happened."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from evomerge.cli.main import main
from evomerge.store import RunStore, read_manifest
from tests.apart import Forked
from tests.building import edit_json
from tests.run.family import Family, answers, records

Program = Callable[..., Forked]

# A user's metric that makes some candidates fail, so that failures are part of what is resumed.
MOODY = '''
def moody(model, tokenizer):
    """Fails for a third of the candidates, told by their weights."""
    total = float(sum(p.float().sum() for p in model.parameters()))
    if int(abs(total) * 1000) % 3 == 0:
        raise RuntimeError("this candidate is refused")
    return abs(total) % 1.0
'''


def lines(run: Path) -> int:
    """Number of evaluations on disk."""
    path = run / "records" / "main.jsonl"
    return sum(b'"evaluation":' in line for line in path.read_bytes().split(b"\n")[:-1]) if path.exists() else 0


def kill_when(program: Program, words: list[str], ready: Callable[[], bool]) -> None:
    """Starts the program and kills it, as a machine that loses power would, as soon as something is true."""
    process = program(["search", *words])
    deadline = time.monotonic() + 120
    while True:
        ended = process.poll() is not None  # asked first: on a machine that waits it may end before it is looked at
        if ready():
            break
        assert not ended, f"it ended by itself: {process.communicate()[1]}"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_killed_between_batches_within_a_batch_within_a_record_and_during_confirmation(
    family: Family, tmp_path: Path, program: Program
) -> None:
    (tmp_path / "moods.py").write_text(MOODY)
    changes = {
        "functions": f"[{tmp_path / 'moods.py'}:moody]",
        "constraints": "['first.acc >= 0.3']",
        "objectives": "[first.acc,second.gold_logprob,python.moody]",
        "evaluations": 15,
    }
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert family.search(whole, **changes) == 0
    searched = sum(e["split"] == "search" for e in records(whole))
    failures = [e for e in records(whole) if e["error"]]
    assert failures, "the example must hold failed candidates"

    words = family.words(killed, **changes)
    kill_when(program, words, lambda: lines(killed) >= 4 + 3)  # within the first batch
    within = lines(killed)
    assert within < searched
    kill_when(program, words, lambda: lines(killed) >= 4 + 6)  # at the end of the first batch, or just into the second
    log = killed / "records" / "main.jsonl"
    os.truncate(log, log.stat().st_size - 25)  # a record half written
    kill_when(program, words, lambda: lines(killed) > searched)  # during confirmation
    assert any(e.split == "test" for e in RunStore.read(killed).evaluations())

    assert program(["search", *words]).wait() == 0
    assert records(killed) == records(whole)
    assert answers(killed) == answers(whole)


def test_ctrl_c_finishes_the_batch_and_reports(family: Family, tmp_path: Path, program: Program) -> None:
    run = tmp_path / "run"
    words = family.words(run, evaluations=60)
    process = program(["search", *words])
    while lines(run) < 6:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130, err
    assert "finishing the batch" in err
    assert (run / "report.html").exists()
    found = RunStore.read(run)
    assert len(found.evaluations("search")) in (4, 4 + 6, 4 + 12)
    assert not found.evaluations("test")
    assert "same command" in out


@pytest.mark.parametrize(
    "changes", [{"seed": 1}, {"method": "ties"}, {"items_per_task": 11}, {"fitness.num_fewshot": 1}]
)
def test_a_folder_of_another_identity_is_refused_by_name(
    family: Family, finished: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, object]
) -> None:
    before = (finished / "manifest.json").read_bytes()
    assert family.search(finished, **changes) == 2
    printed = capsys.readouterr().err
    assert "holds another run" in printed
    told = {
        "seed": "seed is 0 there and 1 now",
        "method": "method.name",
        "items_per_task": "items is",
        "fitness.num_fewshot": "fitness.num_fewshot is null there and 1 now",
    }
    assert told[next(iter(changes))] in printed
    lines = [line for line in printed.splitlines() if line.startswith("  - ")]
    assert len(lines) <= 3, "one setting is one sentence, and what follows from it another"
    assert (finished / "manifest.json").read_bytes() == before


def test_a_run_whose_searcher_had_an_option_that_is_gone_is_another_versions(
    family: Family, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody is told to repeat settings that are gone; the report can still be written."""
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    identity = read_manifest(run)["identity"]
    identity["searcher"]["options"]["noise"] = 0.0
    edit_json(run / "manifest.json", identity=identity)
    assert family.search(run) == 2
    printed = capsys.readouterr().err
    assert "another version of evomerge: its searcher had the option noise (0.0), this one has none\n" in printed
    assert "can report on it and export from it, but not go on with it: choose another run_dir" in printed
    assert "repeat the settings" not in printed
    assert main(["report", f"run={run}"]) == 0


@pytest.mark.parametrize(
    ("file", "change"), [("config.json", {"rope_theta": 5000.0}), ("generation_config.json", {"eos_token_id": 1})]
)
def test_a_changed_config_is_another_run(
    own_family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, change: dict[str, object]
) -> None:
    assert own_family.search(tmp_path / "run", evaluations=6) == 0
    edit_json(own_family.folder / "base" / file, **change)
    assert own_family.search(tmp_path / "run", evaluations=6) == 2
    assert f"files.{file}" in capsys.readouterr().err


def test_a_folder_whose_answers_were_judged_otherwise_is_refused(
    own_family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert own_family.search(run, evaluations=6) == 0
    task = own_family.folder / "tasks" / "second.yaml"
    text = task.read_text()
    task.write_text(text.replace("metric: acc,", "metric: acc_norm,"))
    capsys.readouterr()
    assert own_family.search(run, evaluations=6) == 2
    printed = capsys.readouterr().err
    assert "holds another run" in printed
    assert "judging.second" in printed
    assert "judging.first" not in printed
