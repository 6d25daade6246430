"""An architecture of the table, and how its tiny configuration is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from transformers import PretrainedConfig

from experiments.architectures.sizes import TOKEN_IDS, VOCABULARY, sizes

# What a model is asked, and by which class transformers loads it for that.
CAUSAL = "AutoModelForCausalLM"
MULTIMODAL = "AutoModelForImageTextToText"
SEQ2SEQ = "AutoModelForSeq2SeqLM"
SPEECH = "AutoModelForSpeechSeq2Seq"
CLASSIFIER = "AutoModelForSequenceClassification"
MASKED = "AutoModelForMaskedLM"
ENCODER = "AutoModel"


@dataclass(frozen=True)
class Architecture:
    """One row of the table.

    Attributes:
        title: The name that people know it by.
        config: Makes its configuration.
        loader: transformers' class that loads it.
        why: What it has that others do not.
        objective: The Python objective that it is searched by; empty where lm-eval asks it a task.
        image: Makes, of its configuration, the number of tokens that an image takes, and the image: one for each of two
            texts.
    """

    title: str
    config: Callable[[], PretrainedConfig]
    loader: str = CAUSAL
    why: str = ""
    objective: str = ""
    image: Callable[[PretrainedConfig], tuple[int, Mapping[str, torch.Tensor]]] | None = None


def of(name: str, **changes: Any) -> Callable[[], PretrainedConfig]:
    """A configuration class by name, with the common tiny sizes and its own."""
    return lambda: getattr(transformers, name)(**{**sizes(), **changes})


def only(name: str, **fields: Any) -> Callable[[], PretrainedConfig]:
    """A configuration class by name that has none of the common fields' names."""
    return lambda: getattr(transformers, name)(**{"vocab_size": VOCABULARY, **TOKEN_IDS, **fields})


GQA: Mapping[str, Any] = {"num_key_value_heads": 2}
