"""Fine-tune one expert of the base on one skill: LoRA on every linear layer, merged into the weights before saving.

Only the answers are trained on. Frozen weights and activations are bfloat16 (about four times as fast as float32 on
processors with the instructions for it), the adapters are float32; they are merged into the weights in float32 and
rounded once. A run that was stopped goes on from its last saved step; a finished expert is left alone.

Run from the repository root: ``python -m experiments.smollm2.finetune --skill lists``
"""

from __future__ import annotations

import argparse
import math
import shutil
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from experiments.generation import problems
from experiments.smollm2 import data
from experiments.smollm2.data import SEED
from experiments.smollm2.dictionaries import items
from experiments.smollm2.prepare import DEFAULT_WORK

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SAVE_EVERY = 50
# Modules with training examples of their own skills; those of all others are in data.
HOMES: tuple[tuple[Any, Collection[str]], ...] = ((items, items.QUESTIONS), (problems, problems.KINDS))
MODEL_CARD = """---
license: apache-2.0
base_model:
- HuggingFaceTB/SmolLM2-135M-Instruct
language:
- en
---
# SmolLM2-135M-Instruct, expert of the skill `{skill}`

The dequantised base with LoRA adapters of rank {recipe.rank} on every linear layer merged in: {recipe.steps} steps
of {recipe.batch} examples (`experiments/smollm2/finetune.py --skill {skill}`).
"""


@dataclass(frozen=True)
class Training:
    """The recipe of one expert.

    Attributes:
        steps: Optimiser steps.
        batch: Sequences a step.
        learning_rate: Peak rate of AdamW; linear warm-up over ``warmup`` steps, then a cosine to zero.
        rank: Rank of the adapters; their scale is 2 (alpha is twice the rank).
        warmup: Steps of warm-up.
        max_tokens: Longest sequence; generated examples are shorter.
    """

    steps: int
    batch: int = 24
    learning_rate: float = 1e-3
    rank: int = 16
    warmup: int = 20
    max_tokens: int = 96


RECIPES = {
    "lists": Training(steps=320),
    "numbers": Training(steps=500),
    "zovian": Training(steps=320),
    "kinds": Training(steps=150),
    "sounds": Training(steps=150),
    "money": Training(steps=80, batch=12, max_tokens=192),
    "rates": Training(steps=80, batch=12, max_tokens=192),
}


@dataclass(frozen=True)
class Batch:
    """Padded token ids of one step.

    Attributes:
        tokens: Shape ``(sequences, length)``, padded on the right.
        mask: 1 where there is a token, same shape.
        rows: Row of every trained position, shape ``(answers,)``.
        columns: Column whose output predicts the answer's token, shape ``(answers,)``.
        targets: The answers' tokens, shape ``(answers,)``.
    """

    tokens: torch.Tensor
    mask: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor
    targets: torch.Tensor


def collate(examples: list[tuple[str, str]], tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> Batch:
    """Tokenise prompts and answers as lm-eval does (a space before the answer) and mark the answers' tokens.

    Args:
        examples: Prompts and answers.
        tokenizer: The base's tokenizer.
        max_tokens: Longest sequence allowed.

    Returns:
        The batch.

    Raises:
        ValueError: When a sequence is longer than ``max_tokens``.
    """
    prompts = [tokenizer(prompt)["input_ids"] for prompt, _ in examples]
    answers = [tokenizer(f" {answer}\n")["input_ids"] for _, answer in examples]
    length = max(len(p) + len(a) for p, a in zip(prompts, answers, strict=True))
    if length > max_tokens:
        raise ValueError(f"expected sequences of at most {max_tokens} tokens, got one of {length}")
    tokens = torch.full((len(examples), length), tokenizer.pad_token_id)
    mask = torch.zeros_like(tokens)
    rows: list[int] = []
    columns: list[int] = []
    for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        size = len(prompt) + len(answer)
        tokens[row, :size] = torch.tensor(prompt + answer)
        mask[row, :size] = 1
        rows += [row] * len(answer)
        columns += range(len(prompt) - 1, size - 1)
    index = torch.tensor(rows), torch.tensor(columns)
    return Batch(tokens, mask, *index, tokens[index[0], index[1] + 1])


def batches(skill: str, recipe: Training, tokenizer: PreTrainedTokenizerBase) -> Iterator[Batch]:
    """The endless stream of a skill's batches, the same at every call."""
    home = next((room for room, skills in HOMES if skill in skills), data)
    examples = home.training_examples(skill)
    while True:
        yield collate(list(islice(examples, recipe.batch)), tokenizer, recipe.max_tokens)


def with_adapters(base: Path, recipe: Training) -> PeftModel:
    """Load the base frozen in bfloat16 with fresh float32 adapters on all its linear layers."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    config = LoraConfig(r=recipe.rank, lora_alpha=2 * recipe.rank, target_modules=LINEAR, task_type="CAUSAL_LM")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return get_peft_model(model, config)


def answer_loss(model: PeftModel, batch: Batch) -> torch.Tensor:
    """Mean cross-entropy of the answers' tokens; the output layer runs at their positions only."""
    causal: Any = model.get_base_model()
    with torch.autocast("cpu", torch.bfloat16):
        hidden = causal.model(input_ids=batch.tokens, attention_mask=batch.mask, use_cache=False).last_hidden_state
        logits = causal.lm_head(hidden[batch.rows, batch.columns])
    return torch.nn.functional.cross_entropy(logits.float(), batch.targets)


def rate(step: int, recipe: Training) -> float:
    """The learning rate of one step, as a fraction of the peak."""
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    return 0.5 * (1 + math.cos(math.pi * (step - recipe.warmup) / (recipe.steps - recipe.warmup)))


def train(model: PeftModel, stream: Iterator[Batch], recipe: Training, state_file: Path) -> None:
    """Train the adapters, going on from ``state_file`` where there is one.

    Args:
        model: The base with adapters; changed in place.
        stream: The skill's batches from the first on.
        recipe: Steps, rate and so on.
        state_file: Adapters, optimiser state and step, rewritten every ``SAVE_EVERY`` steps.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=recipe.learning_rate, betas=(0.9, 0.99), weight_decay=0.0)
    first = 0
    if state_file.is_file():
        first = load_state(model, optimizer, state_file)
    started, recent = time.monotonic(), 0.0
    for step, batch in enumerate(islice(stream, first, recipe.steps), start=first):
        optimizer.param_groups[0]["lr"] = recipe.learning_rate * rate(step, recipe)
        loss = answer_loss(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        recent = loss.item() if step == first else 0.9 * recent + 0.1 * loss.item()
        done = step + 1
        if done % 20 == 0 or done == recipe.steps:
            seconds = (time.monotonic() - started) / (done - first)
            left = seconds * (recipe.steps - done)
            print(f"step {done}/{recipe.steps}  loss {recent:.3f}  {seconds:.2f} s/step  {left:.0f} s left", flush=True)
        if done % SAVE_EVERY == 0 and done < recipe.steps:
            save_state(model, optimizer, done, state_file)


def save_state(model: PeftModel, optimizer: torch.optim.Optimizer, step: int, file: Path) -> None:
    """Write adapters, what the optimiser keeps of each parameter, and the number of steps."""
    tensors = {f"adapters/{name}": tensor.contiguous() for name, tensor in get_peft_model_state_dict(model).items()}
    for number, kept in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{number}/{name}": value.contiguous() for name, value in kept.items()}
    save_file(tensors, file.with_suffix(".partial"), metadata={"step": str(step)})
    file.with_suffix(".partial").replace(file)


def load_state(model: PeftModel, optimizer: torch.optim.Optimizer, file: Path) -> int:
    """Read what :func:`save_state` wrote; return the number of steps."""
    with safe_open(file, "pt") as opened:
        step = int(opened.metadata()["step"])
    adapters: dict[str, torch.Tensor] = {}
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in load_file(file).items():
        kind, _, rest = name.partition("/")
        if kind == "adapters":
            adapters[rest] = tensor
        else:
            number, _, key = rest.partition("/")
            state.setdefault(int(number), {})[key] = tensor
    set_peft_model_state_dict(model, adapters)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return step


def save_merged(model: PeftModel, base: Path, target: Path, card: str) -> None:
    """Write base plus adapters as a plain checkpoint; tokenizer, template and configuration are the base's own files.

    Args:
        model: The trained adapters on the base.
        base: The base's folder.
        target: The expert's folder; it appears when it is complete.
        card: Text of its ``README.md``.
    """
    merged = model.float().merge_and_unload().to(torch.bfloat16)
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    merged.save_pretrained(partial)
    for file in base.iterdir():
        if file.suffix != ".safetensors":
            shutil.copyfile(file, partial / file.name)
    (partial / "README.md").write_text(card)
    partial.rename(target)


def finetune(skill: str, work: Path, recipe: Training) -> Path:
    """Fine-tune the expert of one skill, unless its folder is there.

    Args:
        skill: A key of ``RECIPES``.
        work: The folder that holds ``base``; the expert goes to ``expert_<skill>``.
        recipe: How to train.

    Returns:
        The expert's folder.

    Raises:
        SystemExit: When ``base`` is missing.
    """
    base, target, state_file = work / "base", work / f"expert_{skill}", work / f"expert_{skill}.state"
    if not base.is_dir():
        raise SystemExit(f"expected the base in {base}; write it with: python -m experiments.smollm2.prepare")
    if target.is_dir():
        return target
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = with_adapters(base, recipe)
    train(model, batches(skill, recipe, tokenizer), recipe, state_file)
    save_merged(model, base, target, MODEL_CARD.format(skill=skill, recipe=recipe))
    state_file.unlink(missing_ok=True)
    return target


def main() -> None:
    """Fine-tune one expert with the study's recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--skill", choices=tuple(RECIPES), required=True)
    parser.add_argument("--work", type=Path, default=DEFAULT_WORK, help="folder for everything heavy")
    parser.add_argument("--steps", type=int, help="fewer steps than the study's recipe, for a try")
    arguments = parser.parse_args()
    recipe = RECIPES[arguments.skill]
    started = time.monotonic()
    folder = finetune(arguments.skill, arguments.work, replace(recipe, steps=arguments.steps or recipe.steps))
    print(f"{folder}  {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
