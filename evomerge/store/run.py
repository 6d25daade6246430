"""The run store."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from evomerge.evaluation import (
    Ask,
    Evaluation,
    Failure,
    ItemLists,
    JsonText,
    Provenance,
    Response,
    ToldValues,
    compact,
    count_items,
)
from evomerge.lease import Lease
from evomerge.store import format_1
from evomerge.store.files import Log, drop_torn_tail, write_json, write_lines, write_text
from evomerge.store.folder import FORMAT, MANIFEST, make_folder, read_json, read_manifest, versions_at_start
from evomerge.store.item_sets import ItemSets
from evomerge.store.recipe_texts import RecipeTexts
from evomerge.store.recorded import Recorded
from evomerge.store.records import Note, Record, evaluation_line, note_line, read_records, record_line
from evomerge.store.responses import Responses, listed
from evomerge.store.turns import Turn

_FOLDED, _ITEM_SETS, _EVENTS = "evaluations.jsonl", "item_sets.jsonl", "events.jsonl"


class RunStore:
    """One run's evaluations and responses.

    Use :meth:`open` to write and :meth:`read` to look.

    Attributes:
        folder: The run's folder, by its absolute path.
        manifest: What the run is: see the README of this room for the fields.
        writer: Name of this process's own log files; None for a store that was opened to read.
        turns: The order of asks and evaluations, if the run is asynchronous.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any], writer: str | None = None) -> None:
        self.folder = folder
        self.manifest = manifest
        self.writer = writer
        self._lease: Lease | None = None
        self._log = Log(folder / "records" / f"{writer}.jsonl")
        self._recipes = RecipeTexts(self._log.path)
        self._events = Log(folder / _EVENTS)
        self._item_sets = ItemSets(folder / _ITEM_SETS)
        self._records = Recorded()
        self._responses = Responses(folder / "responses", writer, self._item_sets, self._records.answers)
        self.turns = self._records.turns
        self._load()

    @classmethod
    def open(
        cls, folder: str | Path, manifest: Mapping[str, Any], identity: Mapping[str, Any], writer: str = "main"
    ) -> RunStore:
        """Creates a run's folder, or goes on with one of the same identity.

        Args:
            folder: The run's folder.
            manifest: Written as ``manifest.json``; budgets may differ from an earlier start, and versions, of which
                those at the start stay in it as ``versions_at_start``.
            identity: What changes a score or a proposal. It must equal that of the run already in the folder.
            writer: Name of this process's own log files.

        Raises:
            InputError: If the folder holds another, older or damaged run or anything else, or is being written.
        """
        path = Path(folder).expanduser().absolute()
        identity = json.loads(json.dumps(identity))
        make_folder(path, identity)
        lease = Lease.take(path / "records")
        try:
            make_folder(path, identity)  # another process may have begun another run before the lease was taken
            for name in (f"records/{writer}.jsonl", f"responses/{writer}.jsonl", _ITEM_SETS, _EVENTS):
                drop_torn_tail(path / name, zeros=not name.startswith("responses/"))  # those are found by their place
            described = {"format": FORMAT, **manifest, "identity": identity, **versions_at_start(path, manifest)}
            store = cls(path, described, writer)
            store._lease = lease
            write_json(path / MANIFEST, store.manifest)
        except BaseException:
            lease.release()
            raise
        return store

    @classmethod
    def read(cls, folder: str | Path) -> RunStore:
        """Opens a run to look at it; nothing in the folder is changed. Runs of every format can be read.

        Raises:
            InputError: If the folder holds no run, one of a later format, or one whose files are damaged.
        """
        path = Path(folder).expanduser().absolute()
        return cls(path, read_manifest(path))

    def append(
        self,
        evaluation: Evaluation,
        responses: Iterable[Response] = (),
        *,
        items: ItemLists | None = None,
        provenance: Provenance = Provenance(attempt=1),  # noqa: B008 - immutable
    ) -> Evaluation:
        """Keeps an evaluation: new responses first, then its record. Both are on disk when this returns.

        Args:
            evaluation: What to keep.
            responses: What was answered for it; nothing that the recipe has answered before.
            items: What it was asked; None where that is what the responses answer.
            provenance: How it came about; where its responses lie is filled in.

        Returns:
            The evaluation with its item set and number of items filled in.

        Raises:
            ValueError: If the store was opened to read or is closed, the ask has its evaluation already, an item had
                been answered before or was not asked, one that was asked has no answer and there is no failure, or
                there are answers beside a failure.
            LeaseLost: If another process has taken over the folder, as for all that writes.
        """
        self.check()
        if evaluation.ask in self._records:
            raise ValueError(f"{evaluation.ask} has been kept already")
        given = list(responses)
        asked = items if items is not None else listed(given)
        self._responses.check(evaluation, asked, given)
        item_set = self._item_sets.add(asked)
        evaluation = replace(
            evaluation, items=count_items(asked), item_set=item_set, recipe=JsonText.of(evaluation.recipe)
        )
        # None of them is an answer to anything else, so equal numbers are equal sets.
        complete = len(given) == len(self._item_sets.members(item_set))
        answered = item_set if complete else self._item_sets.add(listed(given)) if given else ""
        ref = self._responses.write(given)
        record = Record(
            evaluation, replace(provenance, writer=self.writer or "", answered=answered if ref else "", responses=ref)
        )
        self.check()  # again: the wait for the disk may have been long enough to count as dead
        line = record_line(record).encode()
        length = len(JsonText.of(evaluation.recipe).text.encode())
        start = self._log.append(line) + len(line) - length - len("}\n")
        # From here on the recipe is read where it lies, by whoever wants it: a run holds thousands of candidates.
        evaluation = replace(evaluation, recipe=self._recipes.at(start, length))
        self._records.add(replace(record, evaluation=evaluation))
        return evaluation

    def tell(self, told: Mapping[Ask, ToldValues]) -> None:
        """Keeps what a searcher was told of evaluations; what is known already is not written again.

        Not waited for: a run that goes on after a crash tells the same again.
        """
        self.check()
        self._note(Note({ask: values for ask, values in told.items() if self._records[ask].evaluation.told != values}))

    def asked(self, ask: Ask, digest: str) -> None:
        """Keeps the turn of an asynchronous run's ask, whose job may have started; what is known is not written again.

        Not waited for: the next record is, after it in the same file; without one nothing came of it.
        """
        self.check()
        self._note(Note({}, (Turn(ask, digest),) if ask not in self.turns else ()))

    def find(
        self, digest: str, items: ItemLists, variant: str = ""
    ) -> tuple[list[Response], dict[str, tuple[str, ...]]]:
        """Known responses of a recipe to items, and the items that are missing; see `Responses.find`."""
        return self._responses.find(digest, items, variant)

    def failure(self, digest: str, variant: str = "") -> Failure | None:
        """The failure of a recipe in a variant, or None. It is final: what has failed is not asked again."""
        found = (record.evaluation.error for record in self._records.of_recipe(digest, variant))
        return next((error for error in found if error is not None), None)

    def at(self, ask: Ask) -> Evaluation | None:
        """The evaluation of an ask, or None when it has not been made."""
        record = self._records.get(ask)
        return record.evaluation if record is not None else None

    def lookup(self, digest: str, split: str, variant: str = "", item_set: str | None = None) -> Evaluation | None:
        """The evaluation of a recipe on a split, or on one set of its items: the one with the most items, the last."""
        kept = [record.evaluation for record in self._records.of_recipe(digest, variant)]
        found = sorted((one for one in kept if one.split == split), key=lambda e: (e.items, e.order))
        return next((one for one in reversed(found) if item_set in (None, one.item_set)), None)

    def evaluations(self, split: str | None = None) -> list[Evaluation]:
        """All evaluations, or those of one split, sorted by (split, batch, index, rung)."""
        chosen = [one.evaluation for one in self._records if split is None or one.evaluation.split == split]
        return sorted(chosen, key=lambda evaluation: evaluation.order)

    def provenance(self, evaluation: Evaluation) -> Provenance:
        """How an evaluation came about: writer, attempt, seconds, place of its responses."""
        return self._records[evaluation.ask].provenance

    def items(self, evaluation: Evaluation) -> ItemLists:
        """The items that an evaluation was asked, by task; empty where a run of format 1 does not say."""
        return self._item_sets.get(evaluation.item_set) or {}

    def responses(self, evaluation: Evaluation) -> list[Response]:
        """The responses that an evaluation is folded from, one per item; empty for a failed one."""
        if evaluation.error is not None:
            return []
        provenance = self.provenance(evaluation)
        if provenance.responses is not None and provenance.answered == evaluation.item_set:
            return self._responses.read(provenance.responses)
        return self.find(evaluation.digest, self.items(evaluation), evaluation.variant)[0]

    def fold(self) -> Path:
        """Writes all evaluations, sorted, to ``evaluations.jsonl``."""
        self.check()
        write_lines(self.folder / _FOLDED, (evaluation_line(evaluation) for evaluation in self.evaluations()))
        return self.folder / _FOLDED

    def log_event(self, event: Mapping[str, Any]) -> None:
        """Appends an event to ``events.jsonl``; a crash may lose the last ones, which nothing depends on."""
        self.check()
        self._events.append((compact(event) + "\n").encode(), sync=False)

    def write_json(self, name: str, data: Any) -> Path:
        """Writes a JSON file into the run's folder in one step; see :meth:`write_text`."""
        if self.writer is not None:
            self.check()
        write_json(self.folder / name, data)
        return self.folder / name

    def write_text(self, name: str, text: str) -> Path:
        """Writes a text file into the run's folder in one step.

        A store that was opened to read may do this too: a report follows from the records, whoever writes it.
        """
        if self.writer is not None:
            self.check()
        write_text(self.folder / name, text)
        return self.folder / name

    def read_json(self, name: str) -> dict[str, Any] | None:
        """Reads a file of the run's folder that holds a JSON object; None when it is not there.

        Raises:
            InputError: If it cannot be read, or holds something else.
        """
        path = self.folder / name
        return read_json(path) if path.exists() else None

    def close(self) -> None:
        """Lets other processes write to the folder."""
        try:
            for log in (self._log, self._events, self._item_sets, self._responses):
                log.close()
        finally:
            if self._lease is not None:
                self._lease.release()
                self._lease = None

    def __enter__(self) -> RunStore:
        """Closes the store at the end of a ``with`` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the store."""
        self.close()

    def check(self) -> None:
        """Makes sure that this process may write.

        Raises:
            ValueError: If the store was opened to read, or is closed.
            LeaseLost: If another process has taken over.
        """
        if self._lease is None:
            raise ValueError("this store was opened to read" if self.writer is None else "this store is closed")
        self._lease.check()

    def _load(self) -> None:
        if self.manifest.get("format") == format_1.FORMAT:
            for record in format_1.read_records(self.folder, self.manifest, self._item_sets):
                self._records.add(record)
            return
        for read in read_records(self.folder / "records"):
            if isinstance(read, Record):
                self._records.add(read)
            else:
                self._records.take(read)
        # After the records, to which another process may be appending: the sets that they name were there before them.
        named = ((record.evaluation.item_set, record.provenance.answered) for record in self._records)
        self._item_sets.load({digest for pair in named for digest in pair if digest})

    def _note(self, note: Note) -> None:
        if note.told or note.asked:
            self._log.append(note_line(note).encode(), sync=False)
        self._records.take(note)
