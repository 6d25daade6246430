"""Initialisation and training of one model of the family, from explicit generators only."""

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from .skills import Instance, Lesson
from .vocabulary import END, PAD, WORDS

WORD_IDS = {word: index for index, word in enumerate(WORDS)}
IGNORED = -100


@dataclass(frozen=True)
class Course:
    """How one model is trained.

    Attributes:
        lessons: drawn with equal probability.
        steps: number of optimiser steps.
        batch: instances per step.
        learning_rate: peak of the schedule.
    """

    lessons: tuple[Lesson, ...]
    steps: int
    batch: int
    learning_rate: float


def child_seed(seed: int, *names: str) -> int:
    """Returns a 63-bit seed for a named purpose, so that no two purposes share a stream."""
    digest = hashlib.sha256("/".join(("example family", str(seed), *names)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def family_config() -> LlamaConfig:
    """Returns the architecture of every member: 6 layers, width 80, about half a million parameters."""
    return LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=80,
        intermediate_size=216,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=64,
        tie_word_embeddings=False,
        pad_token_id=WORD_IDS[PAD],
        eos_token_id=WORD_IDS[END],
        bos_token_id=None,
        attn_implementation="sdpa",
    )


def initialise(config: LlamaConfig, seed: int) -> LlamaForCausalLM:
    """Returns an untrained model whose weights depend on `seed` alone.

    The constructor of `transformers` draws from the process-wide generator; it runs in a fork of it, and all
    it drew is overwritten.
    """
    with torch.random.fork_rng(devices=[]):
        model = LlamaForCausalLM(config)
    generator = torch.Generator().manual_seed(seed)
    depth_scale = 1 / math.sqrt(2 * config.num_hidden_layers)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if parameter.ndim == 1:
                parameter.fill_(1.0)
                continue
            scale = parameter.shape[1] ** -0.5 if "embed" not in name else 0.02
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                scale *= depth_scale
            parameter.normal_(0.0, scale, generator=generator)
    return model


def batches(course: Course, seed: int, seen: set[str]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yields (input ids, labels), each of shape (batch, longest text); only answers and their end are labelled.

    Args:
        course: what to draw.
        seed: of this stream.
        seen: gains the SHA-256 of every text that is yielded.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    for _ in range(course.steps):
        chosen = generator.integers(len(course.lessons), size=course.batch).tolist()
        drawn = [course.lessons[index].draw(generator) for index in chosen]
        seen.update(text_hash(instance) for instance in drawn)
        yield collate(drawn)


def text_hash(instance: Instance) -> str:
    """Returns the SHA-256 of an instance's text."""
    return hashlib.sha256(instance.text.encode()).hexdigest()


def collate(instances: list[Instance]) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns (input ids, labels), padded on the right to the longest of `instances`."""
    questions = [[WORD_IDS[word] for word in instance.question.split()] for instance in instances]
    answers = [[WORD_IDS[word] for word in (*instance.answer.split(), END)] for instance in instances]
    width = max(len(question) + len(answer) for question, answer in zip(questions, answers, strict=True))
    ids = torch.full((len(instances), width), WORD_IDS[PAD])
    labels = torch.full((len(instances), width), IGNORED)
    for row, (question, answer) in enumerate(zip(questions, answers, strict=True)):
        start, stop = len(question), len(question) + len(answer)
        ids[row, :stop] = torch.tensor(question + answer)
        labels[row, start:stop] = torch.tensor(answer)
    return ids, labels


def learning_rate_factor(step: int, steps: int) -> float:
    """Returns the share of the peak rate at `step`: linear warm-up over a twentieth, then half a cosine to zero."""
    warm_up = max(1, steps // 20)
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def train(
    model: LlamaForCausalLM,
    course: Course,
    seed: int,
    progress: Callable[[int, float, float], None],
) -> set[str]:
    """Trains `model` in place and returns the SHA-256 of every text it met.

    Args:
        model: float32, changed in place.
        course: lessons and length.
        seed: of the stream of instances.
        progress: called after each step with (steps done, loss, seconds so far).
    """
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=course.learning_rate, betas=(0.9, 0.98), weight_decay=0.01, foreach=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: learning_rate_factor(step, course.steps))
    seen: set[str] = set()
    started = time.monotonic()
    model.train()
    for step, (ids, labels) in enumerate(batches(course, seed, seen), start=1):
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        progress(step, float(loss.detach()), time.monotonic() - started)
    model.eval()
    return seen
