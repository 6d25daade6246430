"""Agreement with the authors' own code on the cases of ``tests/golden/official``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden.papers import cases, disagreements
from tests.golden.table import CASES

OFFICIAL = Path(__file__).parents[1] / "golden" / "official"
FOUND = cases(OFFICIAL)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.mark.parametrize("name", sorted(CASES))
def test_agrees_with_the_authors_code(name: str, models: Path) -> None:
    assert disagreements(OFFICIAL, name, FOUND[name], models) == []
