"""Damaged files of every kind are refused by name or harmless; many more: ``python -m experiments.fuzz.study``."""

from __future__ import annotations

import pytest

from experiments.fuzz.cases import FAMILIES
from experiments.fuzz.judge import WRONG, Ran, verdict
from experiments.fuzz.server import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Server:
    return Server(tmp_path_factory.mktemp("fuzz"), 0)


def wrong(server: Server, numbers: range, *, merged: bool) -> list[object]:
    ran = [server.run(family, number, merged=merged) for number in numbers for family in FAMILIES]
    assert {record["verdict"] for record in ran} >= {"refused", "accepted"}
    return [record for record in ran if record["verdict"] == WRONG]


def test_a_few_damages_of_every_kind(server: Server) -> None:
    assert not wrong(server, range(2), merged=True)


@pytest.mark.slow
def test_many_damages_of_every_kind(server: Server) -> None:
    assert not wrong(server, range(40), merged=False)


@pytest.mark.parametrize(
    ("ran", "reason"),
    [
        (Ran(None), "hangs"),
        (Ran(-9), "killed by signal 9"),
        (Ran(1, "A/config.json"), "exit code 1"),
        (Ran(2, "config cannot be read"), "no file named"),
        (Ran(2, "A/config.json is bad", left=["out"]), "left behind: out"),
        (Ran(2, "A/config.json is bad", seen=["reads /etc/passwd"]), "reads /etc/passwd"),
        (Ran(2, "A/config.json: TypeError (--debug shows where)"), "an internal error"),
        (Ran(0, others=["transformers cannot load the model"]), "transformers cannot load the model"),
    ],
)
def test_the_judge_knows_what_is_wrong(ran: Ran, reason: str) -> None:
    assert verdict(ran, "A/config.json") == (WRONG, [reason])
    assert verdict(Ran(2, "A/config.json is bad"), "A/config.json") == ("refused", [])
