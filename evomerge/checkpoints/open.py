"""From a folder to a source: the one opener, and the one loop that opens several and names all problems at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from evomerge.checkpoints.dense import DenseCheckpoint
from evomerge.checkpoints.source import CheckpointSource
from evomerge.checkpoints.unusable import why_unusable
from evomerge.errors import InputError
from evomerge.recipe import CheckpointRef

_ADAPTER = "adapter_config.json"


def open_source(path: str | Path) -> CheckpointSource:
    """Opens a model folder for reading; config and headers are read, values only of heads that may repeat embeddings.

    Args:
        path: A folder with ``config.json`` and safetensors weights.

    Raises:
        InputError: If the folder is none that can be read, or one of its files is broken; all problems.
    """
    folder = Path(path).expanduser()
    if (folder / _ADAPTER).is_file():
        raise InputError(_adapter_problem(folder))
    return DenseCheckpoint.open(folder)


def open_all(
    references: Iterable[CheckpointRef], find: Callable[[CheckpointRef], str | Path], *, verify: bool = False
) -> dict[CheckpointRef, CheckpointSource]:
    """Finds and opens each of several checkpoints once.

    Args:
        references: The checkpoints; repeated ones are opened once.
        find: Gives the folder of one, or raises an :class:`~evomerge.errors.InputError`.
        verify: Whether to read all weights and compare them with the recorded fingerprints.

    Returns:
        The opened sources, in the order of the references.

    Raises:
        InputError: If some cannot be found or read, or hold other weights than recorded; all problems.
    """
    problems: list[str] = []
    opened: dict[CheckpointRef, CheckpointSource] = {}
    for ref in dict.fromkeys(references):
        try:
            opened[ref] = open_source(find(ref))
        except InputError as error:
            problems += [problem for problem in error.problems if problem not in problems]
            continue
        if verify and ref.fingerprint is not None and opened[ref].fingerprint() != ref.fingerprint:
            problems.append(
                f"the weights in {ref.source} are not those the recipe was made with: they have changed since. Put the "
                "old ones back, or make the recipe anew"
            )
    if problems:
        raise InputError(problems)
    return opened


def _adapter_problem(folder: Path) -> str:
    # transformers with peft installed would load the adapter's base and the adapter, and without it the other weights.
    whole = sorted(path.name for path in folder.glob("model*.safetensors"))
    if whole and (folder / "config.json").is_file():
        return (
            f"{str(folder)!r} holds a whole model ({whole[0]}) and a LoRA adapter ({_ADAPTER}); which of the two is "
            f"loaded depends on what is installed. Move the adapter's files to a folder of their own"
        )
    return why_unusable(str(folder), [_ADAPTER])
