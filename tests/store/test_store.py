"""The run store: order, torn writes, identity, and what is kept of an evaluation."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from evomerge.errors import InputError
from evomerge.evaluation import Ask, Evaluation, Failure, Provenance, Response, ToldValues
from evomerge.store import RunStore

IDENTITY = {"method": {"name": "ties", "options": {"scope": "tensor"}}, "seed": 0}


def evaluation(digest: str, batch: int, index: int, split: str = "search") -> Evaluation:
    recipe = {"method": "ties", "note": 'a key like ,"recipe":{ inside a text'}
    return Evaluation(digest, recipe, Ask(split, batch, index), metrics={"t.acc": 0.5})


def answers(items: Sequence[str] = ("i0", "i1")) -> list[Response]:
    return [Response("t", i, {"acc": int(i[1:]) % 2, "pair": [0.5, 2.0]}, (-1.5, -0.1), (False, True)) for i in items]


def opened(folder: Path, **identity: object) -> RunStore:
    return RunStore.open(folder, {"objectives": []}, {**IDENTITY, **identity})


def test_evaluations_are_folded_by_split_batch_index_and_rung(tmp_path: Path) -> None:
    with opened(tmp_path / "run") as store:
        store.append(evaluation("d", 0, 1, "test"), answers(["i7"]))
        store.append(evaluation("c", 1, 1), answers())
        store.append(evaluation("b", 1, 0), answers())
        store.append(Evaluation("b", {}, Ask("search", 1, 0, rung=1)), answers(["i2"]))
        store.append(evaluation("e", 0, 0, "selection"), answers())
        store.append(evaluation("a", 0, 0), answers())
        lines = [json.loads(line) for line in store.fold().read_text().splitlines()]
    assert [(line["digest"], line["rung"]) for line in lines] == [
        ("a", 0), ("b", 0), ("b", 1), ("c", 0), ("e", 0), ("d", 0),
    ]  # fmt: skip
    assert [e.digest for e in RunStore.read(tmp_path / "run").evaluations("search")] == ["a", "b", "b", "c"]


def test_an_evaluation_comes_back_whole(tmp_path: Path) -> None:
    one = Evaluation(
        "a", {"method": "ties"}, Ask("search", 2, 3, 1), "base", {"t.acc": 0.5}, variant="int4",
        probabilities={"t": (0.5, 1.0)}, parents=("p1", "p2"),
    )  # fmt: skip
    made = Provenance(attempt=2, worker="w1", seconds={"merge": 0.25})
    told = ToldValues((0.5,), (0.0, -1.0), (0.01,))
    with opened(tmp_path / "run") as store:
        kept = store.append(one, answers(), provenance=made)
        assert (kept.items, len(kept.item_set)) == (2, 64)
        store.tell({kept.ask: told})
        folded = store.fold().read_text()
    again = RunStore.read(tmp_path / "run")
    found = again.at(one.ask)
    assert found is not None
    assert (found.told, found.recipe) == (told, {"method": "ties"})
    assert (found.probabilities, found.parents, found.variant) == ({"t": (0.5, 1.0)}, ("p1", "p2"), "int4")
    provenance = again.provenance(found)
    assert (provenance.writer, provenance.attempt, provenance.worker) == ("main", 2, "w1")
    assert provenance.seconds == {"merge": 0.25}
    assert again.items(found) == {"t": ("i0", "i1")}
    line = json.loads(folded)
    assert line["recipe"] == {"method": "ties"}
    assert line["told"] == {"F": [0.5], "G": [0.0, -1.0], "se": [0.01]}
    assert not {"writer", "attempt", "worker", "seconds", "responses"} & set(line)


def test_two_runs_that_went_otherwise_have_the_same_evaluations(tmp_path: Path) -> None:
    """Order, seconds, attempts and interruptions differ."""
    rows = [evaluation("a", 0, 0), evaluation("b", 1, 0), evaluation("c", 1, 1)]
    for name, order in (("one", rows), ("two", rows[::-1])):
        for number, row in enumerate(order):
            with opened(tmp_path / name) as store:
                seconds = {"score": 1.0 + number}
                store.append(row, answers(), provenance=Provenance(attempt=number + 1, worker=name, seconds=seconds))
                folded = store.fold()
        assert folded.parent.name == name
    assert (tmp_path / "one" / "evaluations.jsonl").read_bytes() == (
        tmp_path / "two" / "evaluations.jsonl"
    ).read_bytes()


def test_responses_come_back_as_they_were(tmp_path: Path) -> None:
    generated = Response("t", "x", {"em": 1.0}, texts=("é\n",), truncated=True, tokens=(3,), ids=((5, 1, 2),))
    with opened(tmp_path / "run") as store:
        store.append(evaluation("a", 0, 0), answers(["i0", "i1", "i2"]))
        kept = store.append(evaluation("b", 0, 1), [generated])
        failed = store.append(Evaluation("c", {}, Ask("search", 0, 2), error=Failure("oom", "no memory")))
    again = RunStore.read(tmp_path / "run")
    first = again.lookup("a", "search")
    assert first is not None
    assert again.responses(first) == answers(["i0", "i1", "i2"])
    assert again.responses(kept) == [generated]
    assert again.responses(failed) == []
    assert again.failure("c") == Failure("oom", "no memory")
    assert again.failure("a") is None
    assert again.failure("c", "int4") is None


def test_an_ask_is_kept_once(tmp_path: Path) -> None:
    with opened(tmp_path / "run") as store:
        store.append(evaluation("a", 0, 0))
        with pytest.raises(ValueError, match=r"number 0 of batch 0 \(search\) has been kept already"):
            store.append(evaluation("b", 0, 0))
        store.append(evaluation("a", 0, 0, "test"))


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_a_torn_last_record_is_dropped_and_the_rest_kept(tmp_path: Path, cut: int) -> None:
    folder = tmp_path / "run"
    with opened(folder) as store:
        store.append(evaluation("a", 0, 0), answers())
        store.append(evaluation("b", 0, 1), answers())
    records = folder / "records" / "main.jsonl"
    os.truncate(records, records.stat().st_size - cut)
    assert [e.digest for e in RunStore.read(folder).evaluations()] == ["a"]
    with opened(folder) as store:
        kept = store.append(evaluation("c", 0, 1), answers())
        assert [e.digest for e in store.evaluations()] == ["a", "c"]
        assert store.responses(kept) == answers()


def test_a_torn_item_set_is_written_again(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with opened(folder) as store:
        store.append(evaluation("a", 0, 0), answers())
    os.truncate(folder / "records" / "main.jsonl", 0)
    os.truncate(folder / "item_sets.jsonl", 40)
    with opened(folder) as store:
        kept = store.append(evaluation("a", 0, 0), answers())
    assert RunStore.read(folder).items(kept) == {"t": ("i0", "i1")}


def test_another_identity_is_refused_by_the_names_of_its_fields(tmp_path: Path) -> None:
    opened(tmp_path / "run").close()
    with pytest.raises(InputError) as caught:
        opened(tmp_path / "run", seed=1, method={"name": "ties", "options": {"scope": "global"}}, dtype="x")
    text = str(caught.value)
    assert all(word in text for word in ("method.options.scope", "seed is 0 there and 1 now", "dtype is absent"))
    opened(tmp_path / "run").close()


def test_a_folder_that_is_no_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("important")
    with pytest.raises(InputError, match="not a run's folder"):
        opened(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(InputError, match="holds no run"):
        RunStore.read(tmp_path)


def test_a_run_of_a_later_format_is_refused(tmp_path: Path) -> None:
    opened(tmp_path).close()
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "format": 3}))
    with pytest.raises(InputError, match="has run format 3; this version reads formats 1 and 2"):
        RunStore.read(tmp_path)
    with pytest.raises(InputError, match="has run format 3; this version goes on with format 2"):
        opened(tmp_path)


def test_a_store_opened_to_read_refuses_to_write(tmp_path: Path) -> None:
    opened(tmp_path / "run").close()
    with pytest.raises(ValueError, match="opened to read"):
        RunStore.read(tmp_path / "run").append(evaluation("a", 0, 0))


WRITER = """
import sys
from evomerge.evaluation import Ask, Evaluation, Response
from evomerge.store import RunStore
store = RunStore.open(sys.argv[1], {}, {})
start = len(store.evaluations())
for k in range(start, 100000):
    responses = [Response("t", f"i{j}", {"acc": float(k)}) for j in range(20)]
    store.append(Evaluation(f"d{k}", {"k": k}, Ask("search", 1, k), metrics={"t.acc": float(k)}), responses)
    print(k, flush=True)
"""


def test_whatever_instant_a_process_is_killed_at_the_store_stays_whole(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    reported = -1
    for round_ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert process.stdout is not None
        for _ in range(5 + 7 * round_):
            reported = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        store = RunStore.read(folder)
        kept = store.evaluations()
        assert [e.index for e in kept] == list(range(len(kept)))
        assert len(kept) > reported, "a record that was reported is on disk"
        for one in kept:
            assert [r.metrics["acc"] for r in store.responses(one)] == [float(one.index)] * 20
