"""What a method prepares lies in the run's folder while the search goes on, and is no part of what the run is."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from evomerge.store import RunStore
from tests.apart import Forked
from tests.run.family import Family, answers, records

Program = Callable[..., Forked]


def interrupt(program: Program, words: list[str], run: Path) -> None:
    """Starts a search, or goes on with it, and stops it once another candidate has been scored."""
    before = scored(run)
    process = program(["search", *words])
    while scored(run) < max(before, 4) + 1:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130


def scored(run: Path) -> int:
    log = run / "records" / "main.jsonl"
    return log.read_bytes().count(b'"evaluation":') if log.exists() else 0


def parts(run: Path, inside: str = ".") -> list[tuple[str, int]]:
    found = run.glob(f"prepared/{inside}/part-*.safetensors")
    return sorted((path.name, path.stat().st_mtime_ns) for path in found)


def test_kept_until_the_search_is_over(family: Family, tmp_path: Path, program: Program) -> None:
    """Survives an interruption, serves the next start, and goes in the end; the limit may change in between."""
    run, whole = tmp_path / "run", tmp_path / "whole"
    words = family.words(run, method="ties", evaluations=60)
    interrupt(program, words, run)
    kept = parts(run)
    assert kept
    assert RunStore.read(run).manifest["config"]["model"]["prepared_disk"] == 20_000_000_000
    interrupt(program, [*words, "evaluations=120"], run)
    assert parts(run) == kept, "nothing was prepared again"
    assert family.search(run, method="ties", evaluations=18) == 0
    assert not (run / "prepared").exists()
    assert family.search(whole, method="ties", evaluations=18, model__prepared_disk="0") == 0
    assert records(run) == records(whole)
    assert answers(run) == answers(whole)


def test_what_recipes_inside_prepare_is_kept_as_well(family: Family, tmp_path: Path, program: Program) -> None:
    """An optimised merge inside of the recipe whose numbers are searched; scores are those of a search without room."""
    one, two, base = (str(family.folder / name) for name in ("one", "two", "base"))
    every = {"groups": {"groups": [{"label": "all"}]}}
    inner = {
        "method": "wudi", "options": {"steps": 5}, "sources": [one, two], "base": base, **every,
        "coefficients": {"lambda": [0.8]},
    }  # fmt: skip
    outer = {
        "method": "task_arithmetic", "sources": [{"recipe": inner}, two], "base": base, **every,
        "coefficients": {"weight": [[0.6, 0.4]], "lambda": [1.0]},
    }  # fmt: skip
    path, run, whole = tmp_path / "own.json", tmp_path / "run", tmp_path / "whole"
    path.write_text(json.dumps(outer))
    named = {"recipe": path, "models": None, "base": None, "method": None}
    interrupt(program, family.words(run, **named, evaluations=60), run)
    kept = parts(run, "inside-*")
    assert kept
    interrupt(program, family.words(run, **named, evaluations=120), run)
    # The merged model inside is kept from the second candidate on, which may have come only now.
    assert set(kept) <= set(parts(run, "inside-*")), "nothing was prepared again"
    assert family.search(run, **named, evaluations=18) == 0
    assert not (run / "prepared").exists()
    assert family.search(whole, **named, evaluations=18, model__prepared_disk="0", model__prepared_memory="0") == 0
    assert records(run) == records(whole)
    assert answers(run) == answers(whole)


@pytest.mark.parametrize(("value", "expected"), [("5X", "a number of bytes such as 5GB, 500M or 0"), ("-1", "bytes")])
def test_a_limit_that_is_none(
    family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str], value: str, expected: str
) -> None:
    assert family.search(tmp_path / "run", model__prepared_memory=value) == 2
    printed = capsys.readouterr().err
    assert "model.prepared_memory" in printed
    assert expected in printed
