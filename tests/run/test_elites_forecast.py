"""The forecast of models of later rounds' elites: room beside what methods prepare, and seconds, counted by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evomerge.cli.main import main
from evomerge.config import compose
from evomerge.merging import seconds_per_byte
from evomerge.run.assemble import Assembly, assemble
from evomerge.run.forecast.duration import Pace, duration
from evomerge.run.forecast.elites import KeptElites, kept_elites
from evomerge.run.forecast.requirements import requirements
from evomerge.store import RunStore
from tests.run.family import Family

ROUNDS = {"rounds": 3, "round__elites": 2, "evaluations": 20, "searcher__population": 5, "round__evaluations": 6}
NONE = {"disk": 0, "memory": 0}
# Two candidates at a time in 3 s, of which a quarter is merging; an elite takes 2.5 s and a byte of it a millisecond.
PACE = Pace(start=5.0, wave=3.0, capacity=2, items=24, merge=0.5, score=1.5, elite=2.5, per_byte=1e-3)


@pytest.fixture
def assembly(family: Family, tmp_path: Path) -> Assembly:
    return assemble(compose.search(family.words(tmp_path / "run", **ROUNDS)))


def limited(assembly: Assembly, disk: int, memory: int) -> Assembly:
    model = replace(assembly.config.model, prepared_disk=disk, prepared_memory=memory)
    return replace(assembly, config=replace(assembly.config, model=model))


def test_models_of_all_rounds_are_kept_where_there_is_room(assembly: Assembly) -> None:
    plenty = kept_elites(assembly, NONE)
    size = sum(tensor.spec.nbytes for tensor in assembly.outputs.merged.values())
    assert (plenty.rounds, plenty.size, plenty.nowhere) == ((2, 2), size, (0.0, 0.0))
    assert (plenty.at("disk"), plenty.at("memory")) == (4 * size, 0)
    less = kept_elites(limited(assembly, 2 * size, size), NONE)
    assert (less.at("disk"), less.at("memory"), less.nowhere) == (2 * size, size, (0.0, 0.0))
    beside = kept_elites(limited(assembly, 2 * size, size), {"disk": size, "memory": size})
    assert beside.at("disk") == size
    assert beside.nowhere == pytest.approx((1.0, 1.0)), "what methods prepare comes first"
    assert plenty.largest == max(tensor.spec.nbytes for tensor in assembly.outputs.merged.values())
    assert plenty.reading(100) == 2 * (plenty.largest + 100)
    needs, without = requirements(assembly), requirements(limited(assembly, 0, 0))
    assert needs.worker - needs.program == without.worker - without.program + 4 * size
    one = replace(assembly, config=replace(assembly.config, round=replace(assembly.config.round, count=1)))
    assert kept_elites(one, NONE) == KeptElites()


def test_seconds_of_making_them_are_those_of_the_search(assembly: Assembly) -> None:
    elites = kept_elites(assembly, NONE)
    found, plain = duration(assembly, PACE, elites), duration(assembly, PACE)
    assert found.elites == pytest.approx(2 * (2 * 2 * 2.5 + 1e-3 * 2 * elites.size))
    assert found.search == pytest.approx((plain.search or 0.0) + found.elites)
    # The third round has no candidate; in the second, three waves of two merge two models anew each.
    fewer = KeptElites((2, 2), 100, {"disk": 0}, 10, (2.0, 2.0))
    assert fewer.seconds(0.5, 12, 6, 2, 1e-3) == pytest.approx(2 * 2 * 0.5 + 3 * 2 * 0.5)
    assert KeptElites().seconds(0.5, 12, 12, 2, 1e-3) == 0.0


def test_check_says_room_and_seconds_and_leaves_nothing(
    family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["check", *family.words(tmp_path / "run", **ROUNDS)]) == 0
    said = capsys.readouterr().out
    assert "models of elites, at most 2 of " in said
    assert "are made once and kept where there is room" in said
    assert "mapped checkpoints" in said
    assert ", models of elites " in said.partition("memory: ")[2].splitlines()[0]
    assert " while the search goes on; " in said
    assert ", models of elites (" in said.partition("seconds: about")[2].splitlines()[0]
    assert list(tmp_path.iterdir()) == []
    assert main(["check", "--headers", *family.words(tmp_path / "run", **ROUNDS, model__prepared_disk=0)]) == 0
    assert "find none beside what methods prepare" not in capsys.readouterr().out, "they are kept in memory"
    tight = {"model__prepared_disk": 0, "model__prepared_memory": 0}
    assert main(["check", "--headers", *family.words(tmp_path / "run", **ROUNDS, **tight)]) == 0
    assert "of them find none beside what methods prepare, so they are merged anew" in capsys.readouterr().out


def test_no_more_is_kept_than_is_said(family: Family, assembly: Assembly, tmp_path: Path) -> None:
    """Bytes of files as each candidate is scored; in the third round those of both later rounds are there."""
    run = tmp_path / "run"
    said = kept_elites(assembly, NONE)
    changes = {**ROUNDS, "evaluations": 14, "functions": f"[{tmp_path / 'mine.py'}:late]"}
    (tmp_path / "mine.py").write_text(
        "from pathlib import Path\n"
        f"SEEN, RUN = Path({str(tmp_path / 'seen')!r}), Path({str(run)!r})\n"
        "def late(model, tokenizer):\n"
        "    files = (RUN / 'prepared').rglob('*part-*')\n"
        "    with SEEN.open('a') as file:\n"
        "        file.write(f'{sum(path.stat().st_size for path in files)}\\n')\n"
        "    return 0.5\n",
        encoding="utf-8",
    )
    assert family.search(run, **changes) == 0
    seen = [int(line) for line in (tmp_path / "seen").read_text().split()]
    assert len([one for one in RunStore.read(run).evaluations("search") if one.name is None]) == 14
    assert 2 * said.size <= max(seen) <= 1.1 * said.at("disk")


def test_a_folder_that_cannot_be_written_to_costs_no_seconds(tmp_path: Path) -> None:
    assert seconds_per_byte(tmp_path / "not" / "there" / "yet") > 0.0
    assert list(tmp_path.iterdir()) == []
    assert seconds_per_byte(Path("/proc/none")) == 0.0


def test_cycleqds_directions_of_the_experts_are_in_each_workers_memory(family: Family, tmp_path: Path) -> None:
    words = {"searcher": "cycleqd", "objectives": "[first.acc,second.acc]"}
    steps = [None, "genes"]
    pushed, plain = (
        requirements(assemble(compose.search(family.words(tmp_path, searcher__options__mutation=own, **words))))
        for own in steps
    )
    shapes = [tensor.spec.shape for tensor in assemble(compose.search(family.words(tmp_path))).outputs.merged.values()]
    squares = sum(min(shape) ** 2 for shape in shapes if len(shape) > 1)
    assert pushed.prepared["memory"] - plain.prepared["memory"] == 2 * 4 * squares, "one expert for each objective"
    assert pushed.working > plain.working, "the decomposition"
