"""From a folder to a source: the one opener, and the one loop that opens several and names all problems at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from evomerge.checkpoints.adapters import CONFIG, AdapterFiles, AdapterSource, adapter_of, is_adapter
from evomerge.checkpoints.dense import DenseCheckpoint
from evomerge.checkpoints.source import CheckpointSource
from evomerge.checkpoints.unusable import why_unusable
from evomerge.errors import InputError
from evomerge.recipe import AdapterRef, ModelRef


def open_source(path: str | Path) -> CheckpointSource:
    """Opens a model folder for reading; config and headers are read, values only of heads that may repeat embeddings.

    Args:
        path: A folder with ``config.json`` and safetensors weights.

    Raises:
        InputError: If the folder is none that can be read, or one of its files is broken; all problems.
    """
    folder = Path(path).expanduser()
    if is_adapter(folder):
        raise InputError(why_unusable(str(folder), [CONFIG]))
    if (folder / CONFIG).is_file():
        AdapterFiles.refuse_whole_model(folder)
    return DenseCheckpoint.open(folder)


def open_all(
    references: Iterable[ModelRef], find: Callable[[ModelRef], str | Path], *, verify: bool = False
) -> dict[ModelRef, CheckpointSource]:
    """Finds and opens each of several checkpoints once, and the adapters on them.

    Args:
        references: The checkpoints and adapters; repeated ones are opened once.
        find: Gives the folder of one, or raises an :class:`~evomerge.errors.InputError`.
        verify: Whether to read all weights and compare them with the recorded fingerprints.

    Returns:
        The opened sources, in the order of the references; the checkpoint that an adapter is on comes before it.

    Raises:
        InputError: If some cannot be found or read, or hold other weights than recorded; all problems.
    """
    problems: list[str] = []
    opened: dict[ModelRef, CheckpointSource] = {}
    wanted = dict.fromkeys(each for ref in references for each in _with_base(ref))
    for ref in wanted:
        if isinstance(ref, AdapterRef) and ref.on not in opened:
            continue  # why has been said
        try:
            folder = find(ref)
            on = opened[ref.on] if isinstance(ref, AdapterRef) else None
            opened[ref] = open_source(folder) if on is None else AdapterSource.open(on, folder)
        except InputError as error:
            problems += [problem for problem in error.problems if problem not in problems]
            continue
        if verify and ref.fingerprint is not None and fingerprint_of(opened[ref]) != ref.fingerprint:
            problems.append(
                f"the weights in {ref.source} are not those the recipe was made with: they have changed since. Put the "
                "old ones back, or make the recipe anew"
            )
    if problems:
        raise InputError(problems)
    return opened


def fingerprint_of(source: CheckpointSource) -> str:
    """The fingerprint that recipes know a source by: of an adapter its own content, as its base has one of its own."""
    found = adapter_of(source)
    return source.fingerprint() if found is None else found.adapter.fingerprint()


def _with_base(ref: ModelRef) -> Iterator[ModelRef]:
    if isinstance(ref, AdapterRef):
        yield ref.on
    yield ref
