"""Agreement with the authors' own code on the cases of ``tests/golden/official``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden.papers import cases, disagreements
from tests.golden.table import CASES, WITHOUT

OFFICIAL = Path(__file__).parents[1] / "golden" / "official"
FOUND = cases(OFFICIAL)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def test_every_case_is_in_the_table_or_said_why_not(models: Path) -> None:
    assert not CASES.keys() & WITHOUT.keys()
    assert CASES.keys() | WITHOUT.keys() == FOUND.keys()
    for name, reason in WITHOUT.items():
        assert "looks at data" in reason
        assert disagreements(OFFICIAL, name, FOUND[name], models) == [f"is not in the table: {reason}"]


@pytest.mark.parametrize("name", sorted(CASES))
def test_agrees_with_the_authors_code(name: str, models: Path) -> None:
    assert disagreements(OFFICIAL, name, FOUND[name], models) == []
