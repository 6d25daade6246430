"""Each of these stores breaks one promise, and the test of that promise finds it out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evomerge.contracts.store import StoreContract
from evomerge.errors import InputError
from evomerge.evaluation import Evaluation, Response, ResponseRef, compact
from evomerge.store import RunStore


class _ForgetsVariants(RunStore):
    def find(self, digest: str, items: Any, variant: str = "") -> Any:
        return super().find(digest, items)


class _FindsInItsOwnOrder(RunStore):
    def find(self, digest: str, items: Any, variant: str = "") -> Any:
        found, missing = super().find(digest, items, variant)
        return sorted(found, key=lambda response: response.item), missing


class _SwallowsRepeats(RunStore):
    def append(self, evaluation: Evaluation, *arguments: Any, **others: Any) -> Evaluation:
        try:
            return super().append(evaluation, *arguments, **others)
        except ValueError:
            return evaluation


class _TellsSeconds(RunStore):
    def fold(self) -> Path:
        path = super().fold()
        lines = path.read_text().splitlines()
        seconds = [self.provenance(one).seconds for one in self.evaluations()]
        texts = (f'{line[:-1]},"s":{one.get("score", 0)}}}\n' for line, one in zip(lines, seconds, strict=True))
        path.write_text("".join(texts))
        return path


class _RetriesFailures(RunStore):
    def failure(self, digest: str, variant: str = "") -> None:
        return None


class _TakesStrayAnswers(RunStore):
    def append(self, evaluation: Evaluation, responses: Any = (), *, items: Any = None, **others: Any) -> Evaluation:
        asked = {(task, item) for task, ids in (items or {}).items() for item in ids}
        kept = [one for one in responses if items is None or one.key in asked]
        return super().append(evaluation, kept if evaluation.error is None else (), items=items, **others)


class _KnowsNoRungs(RunStore):
    def append(self, evaluation: Evaluation, *arguments: Any, **others: Any) -> Evaluation:
        ask = evaluation.ask
        if any(replace(ask, rung=one.ask.rung) == one.ask for one in self.evaluations()):
            raise ValueError(f"{ask} has been kept already")
        return super().append(evaluation, *arguments, **others)


class _OpensTwice(RunStore):
    @classmethod
    def open(cls, folder: Any, manifest: Any, identity: Any, writer: str = "main") -> RunStore:
        for lease in (Path(folder) / "records").glob(".lease.*"):
            lease.unlink()
        return super().open(folder, manifest, identity, writer)


class _WritesRecordsFirst(RunStore):
    """Responses follow two records later."""

    late: tuple[list[Response], ...] = ()

    def append(self, evaluation: Evaluation, responses: Any = (), **others: Any) -> Evaluation:
        write, file = self._responses.write, self.folder / "responses" / "main.jsonl"
        self.late = (*self.late, list(responses))
        if len(self.late) > 2:
            write(self.late[0])
            self.late = self.late[1:]

        def promised(given: Any) -> ResponseRef:
            sizes = [sum(len(compact(one.to_json())) + 1 for one in held) for held in self.late]
            written = file.stat().st_size if file.exists() else 0
            return ResponseRef(file.name, written + sum(sizes[:-1]), sizes[-1])

        self._responses.write = promised  # type: ignore[method-assign]
        try:
            return super().append(evaluation, responses, **others)
        finally:
            self._responses.write = write  # type: ignore[method-assign]


class _EndsTornLines(RunStore):
    @classmethod
    def open(cls, folder: Any, manifest: Any, identity: Any, writer: str = "main") -> RunStore:
        for path in Path(folder).rglob("*.jsonl"):
            if not path.read_bytes().endswith(b"\n"):
                path.write_bytes(path.read_bytes() + b"\n")
        return super().open(folder, manifest, identity, writer)


STORES: list[tuple[type[RunStore], str]] = [
    (_ForgetsVariants, "test_known_responses_and_missing_items"),
    (_FindsInItsOwnOrder, "test_known_responses_and_missing_items"),
    (_SwallowsRepeats, "test_a_recipe_may_be_asked_again_for_other_items"),
    (_SwallowsRepeats, "test_an_ask_is_kept_once"),
    (_TakesStrayAnswers, "test_a_recipe_may_be_asked_again_for_other_items"),
    (_KnowsNoRungs, "test_an_ask_is_kept_once"),
    (_TellsSeconds, "test_the_folded_file_says_nothing_of_how_it_came_about"),
    (_RetriesFailures, "test_failures_are_final_and_belong_to_a_variant"),
    (_OpensTwice, "test_one_process_writes_and_all_may_read"),
    (_EndsTornLines, "test_a_torn_last_line_is_not_read_and_its_ask_is_made_again"),
]


@pytest.mark.parametrize(("fault", "test"), STORES)
def test_a_faulty_store_is_found_out(fault: type[RunStore], test: str, tmp_path: Path) -> None:
    contract = StoreContract()
    contract.store = fault
    contract._writer = lambda folder, count: StoreContract()._writer(folder, count)  # type: ignore[method-assign]
    with pytest.raises((AssertionError, ValueError)):
        getattr(contract, test)(tmp_path)


def test_a_store_that_writes_records_before_responses_is_found_out(tmp_path: Path) -> None:
    """In a process of its own, which is killed."""
    contract = StoreContract()
    contract.store = _WritesRecordsFirst
    with pytest.raises((AssertionError, InputError)):
        contract.test_whatever_instant_a_process_is_killed_at_the_store_stays_whole(tmp_path)
