"""The run store: order, torn writes, identity, locks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from evomerge.errors import InputError
from evomerge.evaluation import Evaluation, Failure, Response
from evomerge.store import RunStore

IDENTITY = {"method": {"name": "ties", "options": {"scope": "tensor"}}, "seed": 0}


def evaluation(digest: str, batch: int, index: int, split: str = "search") -> Evaluation:
    return Evaluation(digest, {"method": "ties"}, split, batch, index, metrics={"t.acc": 0.5}, items=2)


def answers(n: int = 2) -> list[Response]:
    return [Response("t", f"i{k}", {"acc": k % 2, "pair": [0.5, 2.0]}, (-1.5, -0.1), (False, True)) for k in range(n)]


def opened(folder: Path, **identity: object) -> RunStore:
    return RunStore.open(folder, {"objectives": []}, {**IDENTITY, **identity})


def test_records_are_folded_by_split_batch_and_index(tmp_path: Path) -> None:
    with opened(tmp_path / "run") as store:
        store.append(evaluation("d", 0, 1, "test"), answers())
        store.append(evaluation("c", 1, 1), answers())
        store.append(evaluation("b", 1, 0), answers())
        store.append(evaluation("a", 0, 0), answers())
        lines = [json.loads(line) for line in store.fold().read_text().splitlines()]
    assert [line["digest"] for line in lines] == ["a", "b", "c", "d"]
    assert [e.digest for e in RunStore.read(tmp_path / "run").evaluations("search")] == ["a", "b", "c"]


def test_responses_come_back_as_they_were(tmp_path: Path) -> None:
    with opened(tmp_path / "run") as store:
        store.append(evaluation("a", 0, 0), answers(3))
        kept = store.append(evaluation("b", 0, 1), [Response("t", "x", {"em": 1.0}, texts=("é\n",), truncated=True)])
        failed = store.append(Evaluation("c", {}, "search", 0, 2, error=Failure("oom", "no memory")))
    again = RunStore.read(tmp_path / "run")
    assert again.responses(again.find("a", "search")) == answers(3)
    assert again.responses(kept)[0].texts == ("é\n",)
    assert again.responses(failed) == []
    assert again.find("c", "search").error == Failure("oom", "no memory")


def test_nothing_is_scored_twice(tmp_path: Path) -> None:
    with opened(tmp_path / "run") as store:
        store.append(evaluation("a", 0, 0))
        with pytest.raises(ValueError, match="already been scored"):
            store.append(evaluation("a", 1, 0))
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
        store.append(evaluation("c", 0, 1), answers())
        assert [e.digest for e in store.evaluations()] == ["a", "c"]
        assert store.responses(store.find("c", "search")) == answers()


def test_responses_without_a_record_are_ignored(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with opened(folder) as store:
        store.append(evaluation("a", 0, 0), answers())
    with (folder / "responses" / "main.jsonl").open("ab") as file:
        file.write(b'{"task": "t", "item": "i0", "metrics": {}}\n{"task":')
    with opened(folder) as store:
        store.append(evaluation("b", 0, 1), answers())
        assert store.responses(store.find("b", "search")) == answers()
        assert store.responses(store.find("a", "search")) == answers()


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


def test_two_processes_cannot_write_one_run(tmp_path: Path) -> None:
    with opened(tmp_path / "run"):
        with pytest.raises(InputError, match="another process"):
            opened(tmp_path / "run")
        RunStore.read(tmp_path / "run")
    opened(tmp_path / "run").close()


def test_a_store_opened_to_read_refuses_to_write(tmp_path: Path) -> None:
    opened(tmp_path / "run").close()
    with pytest.raises(ValueError, match="opened to read"):
        RunStore.read(tmp_path / "run").append(evaluation("a", 0, 0))


WRITER = """
import sys
from evomerge.evaluation import Evaluation, Response
from evomerge.store import RunStore
store = RunStore.open(sys.argv[1], {}, {})
start = len(store.evaluations())
for k in range(start, 100000):
    responses = [Response("t", f"i{j}", {"acc": float(k)}) for j in range(20)]
    store.append(Evaluation(f"d{k}", {"k": k}, "search", 1, k, metrics={"t.acc": float(k)}, items=20), responses)
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
