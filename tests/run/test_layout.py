"""``genome=auto`` in whole runs: what it chooses belongs to the run, and people are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from evomerge.cli.main import main
from evomerge.config import compose
from evomerge.run.assemble import assemble
from evomerge.store import RunStore
from tests.run.family import Family


def test_check_says_what_auto_has_chosen_and_warns_of_many_genes(
    family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--headers", *family.words(tmp_path / "run", genome="auto", evaluations=3)]) == 0
    said = capsys.readouterr().out
    assert "genome.depth=auto has chosen model, for 3 candidates" in said
    assert "genes for 3 candidates" in said  # two genes, fewer than two candidates for each
    assert not (tmp_path / "run").exists()


def test_a_run_keeps_the_layout_that_it_began_with(family: Family, tmp_path: Path) -> None:
    """A larger budget goes on with the same genes, and the report says so."""
    run = tmp_path / "run"
    assert family.search(run, genome="auto", evaluations=6, confirm__finalists=0) == 0
    began = RunStore.read(run).manifest["genome"]
    assert began["settings"]["depth"] != "layer"
    words = family.words(run, genome="auto", evaluations=1000, confirm__finalists=0)
    alone = assemble(compose.search(family.words(tmp_path / "other", genome="auto", evaluations=1000)))
    assert alone.layout is not None
    assert alone.layout.settings.depth == "layer"
    again = assemble(compose.search(words))
    assert again.layout is not None
    assert again.layout.kept
    assert list(again.spec.labels) == began["labels"]
    assert "genome.depth=auto has chosen" in (run / "report.html").read_text(encoding="utf-8")
