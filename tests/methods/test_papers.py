"""Agreement with the authors' own code on the cases of ``tests/golden/official`` and ``tests/golden/official_data``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden.data_table import CASES as DATA_CASES
from tests.golden.data_table import WITHOUT as DATA_WITHOUT
from tests.golden.papers import cases, disagreements, of_data
from tests.golden.table import CASES

GOLDEN = Path(__file__).parents[1] / "golden"
OFFICIAL, OF_DATA = GOLDEN / "official", GOLDEN / "official_data"
FOUND, FOUND_OF_DATA = cases(OFFICIAL), cases(OF_DATA)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def models_of_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def test_every_case_is_in_the_table() -> None:
    assert CASES.keys() == FOUND.keys()
    assert DATA_CASES.keys() <= FOUND_OF_DATA.keys()
    assert not DATA_CASES.keys() & DATA_WITHOUT.keys()
    assert not any(map(of_data, FOUND.values()))
    assert all(map(of_data, FOUND_OF_DATA.values()))


@pytest.mark.parametrize("name", sorted(CASES))
def test_agrees_with_the_authors_code(name: str, models: Path) -> None:
    assert disagreements(OFFICIAL, name, FOUND[name], models) == []


@pytest.mark.parametrize("name", sorted(DATA_CASES))
def test_agrees_with_the_authors_code_on_data(name: str, models_of_data: Path) -> None:
    assert disagreements(OF_DATA, name, FOUND_OF_DATA[name], models_of_data) == []
