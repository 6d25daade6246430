"""The contract of stores: records are appended whole and once, and survive a process that is killed at any instant."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from evomerge.contracts.watching import raised
from evomerge.errors import InputError
from evomerge.evaluation import Ask, Evaluation, Failure, Provenance, Response, ToldValues
from evomerge.store import RunStore

__all__ = ["StoreContract"]

IDENTITY = {"method": {"name": "ties", "options": {"scope": "tensor"}}, "seed": 0}
ITEMS = ("i0", "i1")


class StoreContract:
    """Promises of `RunStore`, and of classes derived from it: there is no other protocol of stores.

    Attributes:
        store: The class under test.
        logs: Patterns of the files that are appended to. A kill may leave the last line of each of them torn.
    """

    store: type[RunStore] = RunStore
    logs: Sequence[str] = ("records/*.jsonl", "responses/*.jsonl", "item_sets.jsonl", "events.jsonl")

    def opened(self, folder: Path, **identity: Any) -> RunStore:
        """The store of a folder, open for writing."""
        return self.store.open(folder, {"objectives": []}, {**IDENTITY, **identity})

    # What is kept

    def test_an_evaluation_comes_back_whole(self, tmp_path: Path) -> None:
        """With its responses, what was told of it, and how it came about."""
        one = evaluation("a", 2, 3, rung=1, name="base", variant="int4", parents=("1.0", "1.2"))
        made = Provenance(attempt=2, worker="w1", seconds={"merge": 0.25})
        told = ToldValues((0.5,), (0.0, -1.0), (0.01,))
        generated = Response("t", "x", {"em": 1.0}, texts=("é\n",), truncated=True, tokens=(3,), ids=((5, 1, 2),))
        with self.opened(tmp_path) as store:
            kept = store.append(one, [*answers(), generated], provenance=made)
            store.tell({kept.ask: told})
        again = self.store.read(tmp_path)
        found = again.at(one.ask)
        assert found is not None
        assert found.to_json() == {**kept.to_json(), "told": told.to_json()}
        assert dict(found.recipe) == dict(one.recipe)
        assert again.responses(found) == [*answers(), generated]
        assert again.items(found) == {"t": ("i0", "i1", "x")}
        provenance = again.provenance(found)
        assert (provenance.attempt, provenance.worker, provenance.seconds) == (2, "w1", {"merge": 0.25})

    def test_known_responses_and_missing_items(self, tmp_path: Path) -> None:
        """By recipe, variant, task and item, in the order in which they are asked for; at once and after reopening."""
        with self.opened(tmp_path) as store:
            assert store.find("a", {"t": ITEMS}) == ([], {"t": ITEMS})
            store.append(evaluation("a", 1, 0), answers())
            for known in (store, self.store.read(tmp_path)):
                found, missing = known.find("a", {"t": ("i2", "i1", "i0"), "u": ("i0",)})
                assert found == answers(("i1", "i0"))
                assert missing == {"t": ("i2",), "u": ("i0",)}
                assert known.find("a", {"t": ("i0",)}, "int4") == ([], {"t": ("i0",)})
                assert known.find("b", {"t": ("i0",)}) == ([], {"t": ("i0",)})

    def test_a_recipe_may_be_asked_again_for_other_items(self, tmp_path: Path) -> None:
        """An evaluation folds what was known and what came; no item is answered twice."""
        asked = {"t": ("i0", "i1", "i2", "i3")}
        with self.opened(tmp_path) as store:
            first = store.append(evaluation("a", 1, 0), answers(("i0", "i2")))
            second = store.append(evaluation("a", 1, 0, rung=1), answers(("i1", "i3")), items=asked)
            third = store.append(evaluation("a", 1, 0, rung=2), (), items={"t": ("i3", "i0")})
            before = everything(store)
            for twice in (answers(("i3", "i4")), answers(("i5", "i5"))):
                assert str(raised(ValueError, append(store, evaluation("a", 2, 0), twice)))
            assert str(raised(ValueError, append(store, evaluation("a", 2, 0), (), {"t": ("i0", "i9")})))
            assert str(raised(ValueError, append(store, evaluation("a", 2, 0), answers(("i6", "i7")), {"t": ("i6",)})))
            assert str(raised(ValueError, append(store, evaluation("a", 2, 0), answers(("i6",)), {"t": ("i7",)})))
            failed = evaluation("a", 2, 0, error=Failure("oom", "no memory"))
            assert str(raised(ValueError, append(store, failed, answers(("i6",)))))
            assert everything(store) == before, "what is refused leaves nothing behind"
        store = self.store.read(tmp_path)
        assert everything(store) == before
        assert [one.items for one in (first, second, third)] == [2, 4, 2]
        assert store.responses(second) == answers(asked["t"])
        assert store.responses(third) == answers(("i3", "i0"))
        best = store.lookup("a", "search")
        assert best is not None
        assert best.ask == second.ask, "the evaluation with the most items"

    def test_an_ask_is_kept_once(self, tmp_path: Path) -> None:
        """Another split, batch, place or rung is another ask."""
        with self.opened(tmp_path) as store:
            store.append(evaluation("a", 0, 0), answers())
            assert str(raised(ValueError, append(store, evaluation("b", 0, 0), answers())))
            others = ("b", 0, 0, "test"), ("c", 1, 0), ("d", 0, 1), ("e", 0, 0, "search", 1)
            for other in others:
                store.append(evaluation(*other), answers())
            assert [one.digest for one in store.evaluations("search")] == ["a", "e", "d", "c"]

    def test_failures_are_final_and_belong_to_a_variant(self, tmp_path: Path) -> None:
        """A failed evaluation has no responses, however many items were asked."""
        with self.opened(tmp_path) as store:
            failed = evaluation("c", 0, 2, error=Failure("oom", "no memory"))
            assert store.append(failed, (), items={"t": ITEMS}).items == 2
        again = self.store.read(tmp_path)
        assert again.failure("c") == Failure("oom", "no memory")
        assert again.failure("c", "int4") is None
        assert again.failure("a") is None
        assert again.responses(failed) == []

    def test_the_folded_file_says_nothing_of_how_it_came_about(self, tmp_path: Path) -> None:
        """Sorted by split, batch, index and rung, whatever the order, seconds, workers and interruptions were."""
        rows = [
            evaluation("a", 0, 0), evaluation("b", 1, 0), evaluation("b", 1, 0, rung=1), evaluation("c", 1, 1),
            evaluation("b", 0, 0, "selection"), evaluation("b", 0, 0, "test"),
        ]  # fmt: skip
        folded = []
        for number, order in enumerate((rows, rows[::-1])):
            for step, row in enumerate(order):
                made = Provenance(attempt=step + 1, worker=f"w{number}", seconds={"score": float(step)})
                with self.opened(tmp_path / str(number)) as store:
                    store.append(row, answers((f"i{rows.index(row)}",)), provenance=made)
                    file = store.fold()
            folded.append(file.read_bytes())
        assert folded[0] == folded[1]
        lines = [json.loads(line) for line in folded[0].splitlines()]
        assert [(line["split"], line["batch"], line["index"], line["rung"]) for line in lines] == [
            (row.split, row.batch, row.index, row.ask.rung) for row in rows
        ]
        assert not any({"writer", "attempt", "worker", "seconds"} & set(line) for line in lines)

    def test_another_run_is_refused_by_the_names_of_its_fields(self, tmp_path: Path) -> None:
        """And what is no run is left alone."""
        self.opened(tmp_path / "run").close()
        error = raised(InputError, lambda: self.opened(tmp_path / "run", seed=1))
        assert "seed" in str(error)
        self.opened(tmp_path / "run").close()
        (tmp_path / "thesis.tex").write_text("important")
        assert str(raised(InputError, lambda: self.opened(tmp_path)))
        assert str(raised(InputError, lambda: self.store.read(tmp_path / "nothing")))

    # Who writes, and what a kill leaves

    def test_one_process_writes_and_all_may_read(self, tmp_path: Path) -> None:
        """A living holder is respected, a killed one succeeded at once."""
        writer = self._writer(tmp_path, 3)
        assert str(raised(InputError, lambda: self.opened(tmp_path)))
        assert len(self.store.read(tmp_path).evaluations()) >= 3
        kill(writer)
        with self.opened(tmp_path) as store:
            assert str(raised(InputError, lambda: self.opened(tmp_path)))
            assert str(raised(ValueError, append(self.store.read(tmp_path), evaluation("z", 9, 9), ())))
            store.append(evaluation("z", 9, 9), answers())
        self.opened(tmp_path).close()

    def test_whatever_instant_a_process_is_killed_at_the_store_stays_whole(self, tmp_path: Path) -> None:
        """Each reported evaluation is there, each one there is whole, and the next process goes on after them."""
        for count in (5, 12, 19):
            writer = self._writer(tmp_path, count)
            reported = max(kill(writer), count - 1)  # some were read before, further ones may lie in the pipe
            store = self.store.read(tmp_path)
            kept = store.evaluations()
            assert [one.index for one in kept] == list(range(len(kept)))
            assert len(kept) > reported
            for one in kept:
                assert [response.metrics["acc"] for response in store.responses(one)] == [float(one.index)] * 20

    def test_a_torn_last_line_is_not_read_and_its_ask_is_made_again(self, tmp_path: Path) -> None:
        """Of any file that is appended to, at its first byte or its last: the other evaluations are untouched."""
        with self.opened(tmp_path / "whole") as store:
            store.append(evaluation("a", 0, 0), answers())
            store.append(evaluation("b", 0, 1), answers(("i2",)))
        wanted = everything(self.store.read(tmp_path / "whole"))
        files = [path for pattern in self.logs for path in sorted((tmp_path / "whole").glob(pattern))]
        for number, file in enumerate(files):
            last = file.read_bytes().splitlines(keepends=True)[-1]
            for lost in (1, len(last) // 2, len(last) - 1):
                torn = tmp_path / f"{number}-{lost}"
                self._tear(tmp_path / "whole", torn, file, lost)
                assert set(everything(self.store.read(torn))) >= {wanted[0]}
                with self.opened(torn) as store:
                    for digest, index, items in (("a", 0, ITEMS), ("b", 1, ("i2",))):
                        if store.at(Ask("search", 0, index)) is None:
                            store.append(evaluation(digest, 0, index), answers(items))
                assert everything(self.store.read(torn)) == wanted

    def _tear(self, whole: Path, torn: Path, file: Path, lost: int) -> None:
        """Copies a folder as a kill would have left it that tore a file: records refer to what is on disk alone."""
        for path in sorted(whole.rglob("*")):
            if path.is_file():
                (torn / path.relative_to(whole)).parent.mkdir(parents=True, exist_ok=True)
                (torn / path.relative_to(whole)).write_bytes(path.read_bytes())
        target = torn / file.relative_to(whole)
        os.truncate(target, target.stat().st_size - lost)
        if "records" not in file.parts:
            # Records are written last, so the kill came before the last one.
            for record in (torn / "records").glob("*.jsonl"):
                record.write_bytes(b"".join(record.read_bytes().splitlines(keepends=True)[:-1]))

    def _writer(self, folder: Path, count: int) -> subprocess.Popen[str]:
        """A process that appends until it is killed, when it has reported some evaluations."""
        module, name = self.store.__module__, self.store.__qualname__
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, module, name, str(folder), json.dumps(IDENTITY)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        for _ in range(count):
            assert writer.stdout.readline()
        return writer


_WRITER = """
import importlib, json, sys
from evomerge.evaluation import Ask, Evaluation, Response
module, name, folder, identity = sys.argv[1:]
store = getattr(importlib.import_module(module), name).open(folder, {"objectives": []}, json.loads(identity))
for k in range(len(store.evaluations()), 100000):
    responses = [Response("t", f"i{j}", {"acc": float(k)}) for j in range(20)]
    store.append(Evaluation(f"d{k}", {"k": k}, Ask("search", 1, k), metrics={"t.acc": float(k)}), responses)
    print(k, flush=True)
"""


def kill(writer: subprocess.Popen[str]) -> int:
    """Kills a writer; returns the last index that it reported."""
    writer.send_signal(signal.SIGKILL)
    assert writer.stdout is not None
    lines = writer.stdout.read().splitlines()
    writer.wait()
    writer.stdout.close()
    return int(lines[-1]) if lines else -1


def evaluation(digest: str, batch: int, index: int, split: str = "search", rung: int = 0, **fields: Any) -> Evaluation:
    """An evaluation whose recipe holds what a careless reader trips over."""
    recipe = {"method": "ties", "note": 'a key like ,"recipe":{ inside a text'}
    metrics = {} if "error" in fields else {"t.acc": 0.5}
    return Evaluation(digest, recipe, Ask(split, batch, index, rung), metrics=metrics, **fields)


def answers(items: Sequence[str] = ITEMS) -> list[Response]:
    """Responses to items of the task ``t``."""
    return [Response("t", i, {"acc": int(i[1:]) % 2, "pair": [0.5, 2.0]}, (-1.5, -0.1), (False, True)) for i in items]


def append(
    store: RunStore, one: Evaluation, responses: Sequence[Response], items: dict[str, tuple[str, ...]] | None = None
) -> Callable[[], object]:
    """A call that appends."""
    return lambda: store.append(one, responses, items=items)


def everything(store: RunStore) -> list[str]:
    """All that a store says of its evaluations, as one text each."""
    return [
        json.dumps([one.to_json(), dict(one.recipe), [response.to_json() for response in store.responses(one)]])
        for one in store.evaluations()
    ]
