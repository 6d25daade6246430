"""Loads what a worker needs from a checkpoint folder: tokenizer, generation settings, model, and the tasks for it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel

from evomerge.checkpoints import CheckpointSource, read_config, read_tokenizer
from evomerge.errors import InputError
from evomerge.fitness import FitnessSettings, TaskSuite
from evomerge.merging import Checkpoints, LiveModel, Merger, Spread, write_companions
from evomerge.recipe import Recipe

# What a folder holds some of if it has a tokenizer.
_TOKENIZERS = ("tokenizer*", "vocab*", "*.model", "*.tiktoken", "merges.txt")
# Fields of a generation configuration that tell where it is from.
_NOT_SET = ("_from_model_config", "transformers_version")


def load_tokenizer(folder: Path, trust_remote_code: bool = False, *, scoring: bool = True) -> Any:
    """The tokenizer of a checkpoint folder.

    Args:
        folder: The checkpoint.
        trust_remote_code: Whether code that comes with it may run.
        scoring: Whether tasks are asked; without them a model may be one that reads no texts and has none, None.

    Raises:
        InputError: If the folder has none that transformers can read, or one that texts cannot be encoded with.
    """
    if not scoring and not any(any(folder.glob(pattern)) for pattern in _TOKENIZERS):
        return None
    tokenizer = read_tokenizer(folder, trust_remote_code=trust_remote_code)
    length = getattr(tokenizer, "model_max_length", None)
    if not isinstance(length, int | float | None) or isinstance(length, bool):
        raise InputError(f"tokenizer_config.json in {str(folder)!r}: model_max_length is {length!r}, expected a number")
    if scoring and tokenizer.bos_token_id is None and tokenizer.eos_token_id is None:
        raise InputError(
            f"the tokenizer in {str(folder)!r} names neither a bos_token nor an eos_token, and scoring needs one of "
            "them; name it in tokenizer_config.json"
        )
    return tokenizer


@dataclass(frozen=True)
class ModelFiles:
    """The files of candidates beside their weights.

    Attributes:
        path: Their folder: config, tokenizer, generation settings.
        config: The content of ``config.json``.
    """

    path: Path
    config: Mapping[str, Any]


@contextmanager
def model_files(checkpoints: Checkpoints, candidate: Recipe | None) -> Iterator[ModelFiles]:
    """Gives the files of candidates: the reference's, unless they have other tokens; then a folder that is gone later.

    Args:
        checkpoints: The opened checkpoints.
        candidate: Any candidate; its coefficients do not matter. None: they have the reference's tokens.

    Raises:
        InputError: If the candidate cannot be built, or its tokenizer not be written.
    """
    reference = checkpoints.reference
    outputs = None if candidate is None else Merger(checkpoints).outputs(candidate)
    if outputs is None or (outputs.tokenizer is None and outputs.chat_templates is None):
        yield ModelFiles(reference.path, reference.config)
        return
    if candidate is None or outputs.problems:
        raise InputError(outputs.problems)
    with tempfile.TemporaryDirectory() as folder:
        write_companions(reference, outputs, Path(folder), candidate.out_dtype)
        yield ModelFiles(Path(folder), outputs.config)


def build_suite(settings: FitnessSettings, source: CheckpointSource | ModelFiles, tokenizer: Any) -> TaskSuite:
    """The tasks, if there are any, for models with the configuration and the generation settings of a checkpoint.

    Raises:
        InputError: With everything that is wrong with the tasks, or that does not go with the model.
    """
    if not settings.tasks:
        return TaskSuite.of_no_tasks(settings)
    generation = load_generation_settings(source.path)
    # Limits that config.json leaves out are those of the class, as in the model itself.
    config = read_config(source) or source.config
    return TaskSuite.build(settings, tokenizer, config=config, generation=generation)


def load_generation_settings(folder: Path) -> dict[str, Any]:
    """Generation settings that a checkpoint makes, by name, as transformers reads them.

    Raises:
        InputError: If transformers refuses them, and would refuse to load the model.
    """
    for name in ("generation_config.json", "config.json"):  # an older model may have them in its configuration
        try:
            found = GenerationConfig.from_pretrained(
                folder, name, local_files_only=True, _from_model_config=name == "config.json"
            )
        except OSError:  # not there, or not JSON
            continue
        except Exception as error:  # whatever the fields' own checks raise
            raise InputError(f"{folder / name}: its generation settings are refused: {first_line(error)}") from error
        return {name: value for name, value in found.to_dict().items() if value is not None and name not in _NOT_SET}
    return {}


def load_live(
    folder: Path,
    *,
    dtype: str,
    attention: str,
    device: str | Spread,
    threads: int | None = None,
    trust_remote_code: bool = False,
) -> LiveModel:
    """A model to be asked, exactly as a worker loads its own, which recipes can be installed in.

    Raises:
        InputError: If the folder does not hold all weights of the model that its config describes.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    return LiveModel.load(folder, dtype=dtype, attention=attention, device=device, trust_remote_code=trust_remote_code)


def load_model(folder: Path, **settings: Any) -> PreTrainedModel:
    """The same for a model that stays as it is; see :func:`load_live`."""
    return load_live(folder, **settings).model


def first_line(error: BaseException) -> str:
    """The first line of an error's message, cut to a readable length."""
    return (str(error).splitlines() or [""])[0][:500]
