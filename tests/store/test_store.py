"""The run store beyond its contract: identity, formats, and what people are told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from evomerge.errors import InputError
from evomerge.evaluation import Ask, Evaluation, Provenance, Response, ToldValues
from evomerge.store import RunStore

IDENTITY = {"method": {"name": "ties", "options": {"scope": "tensor"}}, "seed": 0}


def evaluation(digest: str, batch: int, index: int, split: str = "search") -> Evaluation:
    recipe = {"method": "ties", "note": 'a key like ,"recipe":{ inside a text'}
    return Evaluation(digest, recipe, Ask(split, batch, index), metrics={"t.acc": 0.5})


def answers(items: Sequence[str] = ("i0", "i1")) -> list[Response]:
    return [Response("t", i, {"acc": int(i[1:]) % 2, "pair": [0.5, 2.0]}, (-1.5, -0.1), (False, True)) for i in items]


def everything(store: RunStore) -> list[tuple[Evaluation, list[Response]]]:
    return [(one, store.responses(one)) for one in store.evaluations()]


def opened(folder: Path, **identity: object) -> RunStore:
    return RunStore.open(folder, {"objectives": []}, {**IDENTITY, **identity})


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


def test_an_ask_is_kept_once(tmp_path: Path) -> None:
    with opened(tmp_path / "run") as store:
        store.append(evaluation("a", 0, 0))
        with pytest.raises(ValueError, match=r"number 0 of batch 0 \(search\) has been kept already"):
            store.append(evaluation("b", 0, 0))
        store.append(evaluation("a", 0, 0, "test"))


def test_another_identity_is_refused_by_the_names_of_its_fields(tmp_path: Path) -> None:
    opened(tmp_path / "run").close()
    with pytest.raises(InputError) as caught:
        opened(tmp_path / "run", seed=1, method={"name": "ties", "options": {"scope": "global"}}, dtype="x")
    text = str(caught.value)
    assert all(word in text for word in ("method.options.scope", "seed is 0 there and 1 now", "dtype is absent"))
    opened(tmp_path / "run").close()


def test_other_options_of_the_same_searcher_are_another_versions(tmp_path: Path) -> None:
    """Other values, and another searcher's options, are another run as any other."""
    then = {"name": "m2n2", "options": {"archive": 20, "noise": 0.0}}
    opened(tmp_path, searcher=then).close()

    def problems(name: str, **options: object) -> list[str]:
        with pytest.raises(InputError) as caught:
            opened(tmp_path, searcher={"name": name, "options": options})
        return caught.value.problems

    gone = problems("m2n2", archive=20)
    assert gone[0].endswith("its searcher had the option noise (0.0), this one has none")
    new = problems("m2n2", archive=20, noise=0.0, alpha=1.0)
    assert new[0].endswith("its searcher had no option alpha, this one has (1.0)")
    for found in (gone, new):
        assert len(found) == 2
        assert "not go on with it" in found[1]
    for found in (problems("m2n2", archive=10, noise=0.0), problems("ga", archive=20)):
        assert "another version" not in found[0]
        assert found[-1].endswith("repeat the settings the folder was made with")


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
    for opening in (RunStore.read, opened):
        with pytest.raises(InputError, match="has run format 3; this version reads formats 1 and 2"):
            opening(tmp_path)


def test_a_store_opened_to_read_refuses_to_write(tmp_path: Path) -> None:
    opened(tmp_path / "run").close()
    reader, closed = RunStore.read(tmp_path / "run"), opened(tmp_path / "run")
    closed.close()
    for store, why in ((reader, "opened to read"), (closed, "is closed")):
        with pytest.raises(ValueError, match=why):
            store.append(evaluation("a", 0, 0))
        with pytest.raises(ValueError, match=why):
            store.tell({})
        with pytest.raises(ValueError, match=why):
            store.log_event({})
        with pytest.raises(ValueError, match=why):
            store.fold()
    with pytest.raises(ValueError, match="is closed"):
        closed.write_text("report.md", "")
    reader.write_text("report.md", "a report")
    assert (tmp_path / "run" / "report.md").read_text() == "a report"
