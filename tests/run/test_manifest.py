"""The manifest holds what the guide to a run's folder says that it holds."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.run.family import ROOT, Family

# Only where a run goes on with other versions than it began with, where not all candidates are asked all items, and
# where steps follow the merge, and where statistics are read.
SOMETIMES = {"versions_at_start", "allocation", "post", "statistics", "measures", "cells"}


def test_readme_tells_the_fields(finished: Path) -> None:
    fields = set(json.loads((finished / "manifest.json").read_text(encoding="utf-8")))
    (row,) = re.findall(
        r"^\| `manifest\.json` \|(.*)\|$",
        (ROOT / "evomerge" / "store" / "README.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    told = set(re.findall(r"`(\w+)`", row))
    assert told - SOMETIMES == fields - SOMETIMES, "the guide's row of manifest.json tells every field, and no other"


def test_versions_are_those_of_the_searcher_s_library_too(family: Family, finished: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    assert family.search(tmp_path / "run", searcher="tpe", evaluations=2, confirm__finalists=0) == 0
    found, others = (
        json.loads((run / "manifest.json").read_text(encoding="utf-8")) for run in (tmp_path / "run", finished)
    )
    assert found["versions"] == others["versions"] | {"optuna": version("optuna")}
    assert "optuna" not in json.dumps(found["identity"])
