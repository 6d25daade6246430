"""Calibration texts as tokens: what statistics are computed on."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from evomerge.fitness.inference.encoding import Encoder


@dataclass(frozen=True, eq=False)
class Passage:
    """One sequence.

    Attributes:
        ids: Token ids, ``(length,)`` int32.
        scored: Which tokens the loss is taken on, ``(length,)`` bool; never the first, which nothing predicts.
    """

    ids: np.ndarray
    scored: np.ndarray


@dataclass(frozen=True, eq=False)
class Calibration:
    """Texts that a statistic is computed on, in order.

    Attributes:
        passages: The sequences; there are no pads, as each goes through the model alone.
        tokens: Most tokens of a sequence; longer texts were cut.
        cut: Number of texts that were.
    """

    passages: tuple[Passage, ...]
    tokens: int
    cut: int = 0

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of all token ids and of which are scored, in order."""
        found = hashlib.sha256()
        for passage in self.passages:
            found.update(json.dumps(len(passage.ids)).encode())
            found.update(passage.ids.astype("<i4").tobytes() + passage.scored.astype(np.uint8).tobytes())
        return found.hexdigest()

    @classmethod
    def of_texts(cls, texts: Sequence[Mapping[str, Any]], encoder: Encoder, *, tokens: int = 512) -> Self:
        """Tokenises texts by the rules that prompts are tokenised by when models are scored.

        Args:
            texts: Mappings with ``text``, or with ``prompt`` and ``answer``, whose loss is taken on the answer alone.
            encoder: Of the model.
            tokens: Most tokens of a sequence.

        Raises:
            InputError: With everything that is wrong with the texts.
        """
        raise NotImplementedError

    @classmethod
    def read(cls, files: Sequence[Path], encoder: Encoder, *, tokens: int = 512, sequences: int | None = None) -> Self:
        """Reads JSONL files.

        Args:
            files: The files; see :meth:`of_texts` for their lines.
            encoder: Of the model.
            tokens: Most tokens of a sequence.
            sequences: Most sequences, from the first on; None takes all.

        Raises:
            InputError: With everything that is wrong with the files.
        """
        raise NotImplementedError
