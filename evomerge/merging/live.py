"""A model in memory that candidates are installed into, one after the other."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import torch
import transformers
from transformers import PreTrainedModel

from evomerge.checkpoints import Checkpoint
from evomerge.errors import InputError
from evomerge.merging.placement import Piece, place


class LiveModel:
    """A transformers model whose weights are overwritten in place by each candidate.

    There is one copy of the weights. Installing writes into the memory that is there, so ties stay tied and whatever
    holds on to the model sees the new weights.

    Args:
        model: A model loaded from a checkpoint, in evaluation mode.
        pieces: Where each tensor on disk goes in it, see :func:`~evomerge.merging.placement.place`.

    Attributes:
        model: The model.
    """

    def __init__(self, model: PreTrainedModel, pieces: Mapping[str, tuple[Piece, ...]]) -> None:
        self.model = model
        self._pieces = {name: found for name, found in pieces.items() if found}
        self._ignored = frozenset(name for name, found in pieces.items() if not found)
        self._state: dict[str, torch.Tensor] = model.state_dict()
        unusual = [name for name, tensor in self._state.items() if not tensor.is_contiguous()]
        if unusual:
            raise InputError(f"parameter {unusual[0]!r} is not contiguous in memory, so nothing can be installed in it")

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        dtype: str | torch.dtype = "float32",
        attn_implementation: str | None = None,
        device: torch.device | str = "cpu",
        trust_remote_code: bool = False,
    ) -> Self:
        """Loads a checkpoint with transformers and finds out where its tensors go.

        The places found are checked against what transformers itself loaded: every element of every tensor.

        Args:
            folder: The reference checkpoint.
            dtype: What the model computes in.
            attn_implementation: One of transformers' attention implementations; None is its default.
            device: Where the model lives.
            trust_remote_code: Whether code that comes with the checkpoint may run.

        Raises:
            InputError: If the folder does not hold all weights of the model that its config describes, or a weight
                does not reach the model by moving elements alone.
        """
        checkpoint = Checkpoint.open(folder)
        options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
        if attn_implementation is not None:
            options["attn_implementation"] = attn_implementation
        dtype = getattr(torch, dtype) if isinstance(dtype, str) else dtype
        auto, shadow = _shadow(checkpoint.path, dtype, options)
        pieces = place(shadow, {name: info.shape for name, info in checkpoint.tensors.items()})
        with _quietly():
            model, info = auto.from_pretrained(
                checkpoint.path, dtype=dtype, local_files_only=True, output_loading_info=True, **options
            )
        _check_loaded(checkpoint, info)
        live = cls(model.eval().requires_grad_(False).to(device), pieces)
        live._verify(checkpoint)
        return live

    @property
    def names(self) -> frozenset[str]:
        """Names on disk of the tensors that the model takes."""
        return frozenset(self._pieces)

    @torch.no_grad()
    def install(self, stream: Iterable[tuple[str, torch.Tensor]]) -> None:
        """Overwrites all weights.

        If the stream raises, some weights are the new ones and some are not: install another candidate.

        Args:
            stream: Tensors as the reference checkpoint stores them, each once, in any floating type.

        Raises:
            ValueError: If the stream does not give every tensor, or gives one of another shape or name.
        """
        missing = set(self._pieces)
        for name, tensor in stream:
            if name in self._ignored:
                continue
            if name not in missing:
                raise ValueError(f"tensor {name!r} came twice or has no place in the model")
            missing.remove(name)
            pieces = self._pieces[name]
            if tensor.numel() != sum(math.prod(piece.sizes) for piece in pieces):
                raise ValueError(f"tensor {name!r} came with shape {list(tensor.shape)}, not the reference's")
            contiguous = tensor.contiguous()
            for piece in pieces:
                piece.of_target(self._state[piece.target]).copy_(piece.of_source(contiguous))
        if missing:
            raise ValueError(f"{len(missing)} tensors were not installed, first {min(missing)!r}")

    @torch.no_grad()
    def checksum(self) -> str:
        """A short fingerprint of the weights as they are now; equal weights have equal ones, in any process.

        It takes one pass over the weights and notices changed values, not elements that merely changed places.
        """
        digest = hashlib.sha256()
        integers = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
        for name, tensor in self._state.items():
            bits = tensor.reshape(-1).view(integers[tensor.element_size()])
            digest.update(f"{name} {tuple(tensor.shape)} {int(bits.sum(dtype=torch.int64))};".encode())
        return digest.hexdigest()[:16]

    @torch.no_grad()
    def _verify(self, checkpoint: Checkpoint) -> None:
        """Compares every element that transformers loaded with the one that would be installed there."""
        unlike = []
        filled: dict[str, int] = dict.fromkeys(self._state, 0)
        for name, pieces in self._pieces.items():
            tensor = checkpoint.tensor(name)
            for piece in pieces:
                there = piece.of_target(self._state[piece.target])
                filled[piece.target] += there.numel()
                # NaN equals nothing; comparing as loaded keeps this a check of places, not of values.
                here = piece.of_source(tensor).to(there.device, there.dtype)
                if not torch.equal(there.nan_to_num(), here.nan_to_num()):
                    unlike.append(f"tensor {name!r} does not reach parameter {piece.target!r} by moving elements alone")
        full = {self._state[n].data_ptr() for n, count in filled.items() if count == self._state[n].numel()}
        unlike += [
            f"parameter {name!r} is not filled by any tensor of {str(checkpoint.path)!r}"
            for name, parameter in self.model.named_parameters()
            if parameter.data_ptr() not in full
        ]
        if unlike:
            raise InputError(unlike)


def _shadow(folder: Path, dtype: torch.dtype, options: Mapping[str, Any]) -> tuple[Any, PreTrainedModel]:
    """The class that loads a folder, and the model it would build, without memory for its weights."""
    trusted = options["trust_remote_code"]
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=trusted)
        if type(config) in transformers.MODEL_FOR_CAUSAL_LM_MAPPING or hasattr(config, "auto_map"):
            auto: Any = transformers.AutoModelForCausalLM
        elif type(config) in transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
            auto = transformers.AutoModelForImageTextToText
        else:
            raise InputError(f"transformers has no causal language model of type {config.model_type!r}")
        with torch.device("meta"):
            return auto, auto.from_config(config, dtype=dtype, **options)
    except InputError:
        raise
    except Exception as error:  # configs are checked by many classes, each in its own way
        raise InputError(f"transformers cannot build the model of {str(folder)!r}: {error}") from error


def _check_loaded(checkpoint: Checkpoint, info: Mapping[str, Any]) -> None:
    problems = [f"{str(checkpoint.path)!r} lacks weights for {name!r}" for name in sorted(info["missing_keys"])]
    problems += [f"{str(checkpoint.path)!r}: {entry} has another shape" for entry in info["mismatched_keys"]]
    problems += [str(message) for message in info.get("error_msgs") or ()]
    if problems:
        raise InputError(problems)


@contextmanager
def _quietly() -> Iterator[None]:
    """Loads without transformers' progress bar."""
    logging = transformers.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
