"""How far rounding in bfloat16 moves a choice between two tokens, by the arrangement of what is read.

    python -m experiments.generation.noise [--models FOLDER] [--items 40]

The base answers chat prompts greedily, each alone and token by token, as plain generation of batch size 1 does. Other
arrangements then read the same prompts and answers: batches of 8 of alike lengths, as lm-eval and we batch them, most
rows of which are not padded; batches of 8 of mixed lengths; two copies of a prompt in one batch; and packed passes that
verify drafts of six tokens, as they are and with two changes that were tried to bring them nearer to batch size 1:

- a residual stream in float32 between linear layers in bfloat16;
- attention to as many keys as fill the same lanes of the kernel's sums as one token alone fills.

The answer is the same everywhere, so each choice has a *gap*: the logit of the most probable token minus that of the
next one, by batch size 1, in float32 from the states before the head. Given are the root mean square and the mean size
of differences of gaps from those of batch size 1, and their ratios to those of batches of 8, with 95 % bootstrap
intervals over items. Texts differ where such a difference exceeds a gap; counting them needs many more answers.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

from evomerge.fitness.inference.generation.packed import PackedAttention
from evomerge.fitness.inference.generation.segments import Segment
from evomerge.fitness.inference.packed_weights import packed_weights
from experiments.generation.data import chat_items
from experiments.machine import machine
from experiments.smollm2.prepare import DEFAULT_WORK

RESULTS = Path("results/generation/noise.json")
TOKENS, ROWS, DRAFT, LANES = 32, 8, 6, 16
BATCHES = f"batches of {ROWS}"
DRAWS = 2000
Tokens = list[int]
Gaps = NDArray[np.float64]


class States:
    """States before the head of a model, of the passes inside a context.

    Attributes:
        parts: Of each pass, ``(rows, length, width)``.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self.parts: list[torch.Tensor] = []

    def __enter__(self) -> States:
        self._hook = self._model.lm_head.register_forward_pre_hook(lambda _, given: self.parts.append(given[0].clone()))
        return self

    def __exit__(self, *_: object) -> None:
        self._hook.remove()


@contextmanager
def float32_stream(model: Any) -> Iterator[None]:
    """Widens what goes into the first layer; matrices get their own type, so only sums and norms are float32."""
    with ExitStack() as hooks:

        def cast(module: torch.nn.Module, dtype: torch.dtype) -> None:
            hook = module.register_forward_pre_hook(lambda _, given: (given[0].to(dtype), *given[1:]))
            hooks.callback(hook.remove)

        cast(model.base_model.layers[0], torch.float32)
        for module in model.modules():
            if isinstance(module, torch.nn.Linear):
                cast(module, torch.bfloat16)
        yield


def answered(model: Any, prompt: Tokens) -> tuple[Tokens, torch.Tensor]:
    """A greedy answer to a prompt alone, and the states before its tokens, ``(TOKENS, width)``."""
    answer: Tokens = []
    cache, given = DynamicCache(), prompt
    with States(model) as states:
        while len(answer) < TOKENS:
            made = model(input_ids=torch.tensor([given]), past_key_values=cache, use_cache=True, logits_to_keep=1)
            answer.append(int(made.logits[0, -1].argmax()))
            given = answer[-1:]
    return answer, torch.cat([part[0, -1:] for part in states.parts])


def batched(model: Any, prompts: Sequence[Tokens], answers: Sequence[Tokens]) -> list[torch.Tensor]:
    """States before the tokens of answers that are read one by one, prompts padded on the left."""
    width, cache = max(map(len, prompts)), DynamicCache()
    tokens = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    with States(model) as states:
        for place in range(TOKENS):
            positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -tokens.shape[1] :]
            model(input_ids=tokens, attention_mask=mask, position_ids=positions, past_key_values=cache,
                  use_cache=True, logits_to_keep=1)  # fmt: skip
            tokens = torch.tensor([[answer[place]] for answer in answers])
            mask = torch.cat([mask, torch.ones_like(tokens)], dim=1)
    return list(torch.stack([part[:, -1] for part in states.parts], dim=1))


def packed(
    model: Any, prompts: Sequence[Tokens], answers: Sequence[Tokens], *, lanes: bool = False
) -> list[torch.Tensor]:
    """The same of packed passes, each of which reads a draft of every answer.

    Args:
        model: The model.
        prompts: At most ``ROWS``.
        answers: Of each.
        lanes: Whether a draft ends where the next token fills a lane of its own.
    """
    cache = PackedAttention(len(prompts), max(map(len, prompts)) + TOKENS)
    texts = [prompt + answer for prompt, answer in zip(prompts, answers, strict=True)]
    done = [0] * len(texts)
    made: list[list[torch.Tensor]] = [[] for _ in texts]
    while min(done) < max(map(len, texts)):
        segments = []
        for row, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
            start = done[row]
            stop = min(start + DRAFT, len(text)) if start else len(prompt)
            if lanes and start:
                stop = min(stop, max(start + 1, (start + 1) // LANES * LANES + LANES - 1))
            if stop > start:
                segments.append(Segment.chain(row, start, np.asarray(text[start:stop])))
            done[row] = stop
        if not segments:
            break
        with States(model) as states, cache.reading(model, segments) as arguments:
            model(**arguments)
        parts = states.parts[0][0].split([len(one.tokens) for one in segments])
        for one, part in zip(segments, parts, strict=True):
            made[one.slot].append(part)
    whole = [torch.cat(parts) for parts in made]
    return [states[len(prompt) - 1 : -1] for states, prompt in zip(whole, prompts, strict=True)]


def gaps(states: torch.Tensor, pairs: torch.Tensor, head: torch.Tensor) -> Gaps:
    """Logits of first tokens of pairs minus those of second ones, ``(tokens,)``."""
    logits = torch.einsum("tw,tpw->tp", states.float(), head[pairs].float())
    return (logits[:, 0] - logits[:, 1]).double().numpy()


def measure(model: Any, prompts: Sequence[Tokens]) -> dict[str, list[Gaps]]:
    """Differences of gaps from those of batch size 1, by way and item.

    Args:
        model: The model.
        prompts: By length, as plain generation is batched; a multiple of ``ROWS``.
    """
    head = model.lm_head.weight
    answers, alone = zip(*(answered(model, prompt) for prompt in prompts), strict=True)
    pairs = [(states.float() @ head.float().T).topk(2).indices for states in alone]
    print("answered", flush=True)
    ways: dict[str, Callable[[Sequence[Tokens], Sequence[Tokens]], list[torch.Tensor]]] = {
        BATCHES: lambda p, a: batched(model, p, a),
        f"{BATCHES}, lengths mixed": lambda p, a: batched(model, p, a),
        "packed": lambda p, a: packed(model, p, a),
        "packed, float32 stream": lambda p, a: packed(model, p, a),
        "packed, same lanes": lambda p, a: packed(model, p, a, lanes=True),
        "two copies": lambda p, a: [batched(model, [one] * 2, [own] * 2)[0] for one, own in zip(p, a, strict=True)],
    }
    found: dict[str, list[Gaps]] = {}
    for name, way in ways.items():
        order = np.arange(len(prompts)).reshape(-1, ROWS)
        if "mixed" in name:
            order = np.arange(len(prompts)).reshape(ROWS, -1).T
        own: dict[int, Gaps] = {}
        for rows in order.tolist():
            with float32_stream(model) if "float32" in name else nullcontext():
                read = way([prompts[row] for row in rows], [answers[row] for row in rows])
            for row, states in zip(rows, read, strict=True):
                own[row] = gaps(states, pairs[row], head) - gaps(alone[row], pairs[row], head)
        found[name] = [own[row] for row in range(len(prompts))]
        print(f"{name}: {np.mean([np.abs(one).mean() for one in found[name]]):.4f}", flush=True)
    return found


def summary(found: dict[str, list[Gaps]]) -> dict[str, dict[str, Any]]:
    """Sizes of differences, and their ratios to those of batches, with intervals."""
    sizes = {name: np.array([[np.mean(one**2), np.mean(np.abs(one))] for one in each]) for name, each in found.items()}
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(sizes[BATCHES]), size=(DRAWS, len(sizes[BATCHES])))

    def figures(own: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return np.sqrt(own[..., 0].mean(-1)), own[..., 1].mean(-1)

    table = {}
    for name, own in sizes.items():
        (root, mean), (root_of, mean_of) = figures(own), figures(sizes[BATCHES])
        again = [a / b for a, b in zip(figures(own[drawn]), figures(sizes[BATCHES][drawn]), strict=True)]
        low, high = (np.quantile(again, level, axis=1) for level in (0.025, 0.975))
        table[name] = {
            "root mean square": round(float(root), 4),
            "mean size": round(float(mean), 4),
            "times batches, root mean square": [round(float(v), 3) for v in (root / root_of, low[0], high[0])],
            "times batches, mean size": [round(float(v), 3) for v in (mean / mean_of, low[1], high[1])],
        }
    return table


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=DEFAULT_WORK, help="folder of the base")
    parser.add_argument("--items", type=int, default=40, help=f"a multiple of {ROWS}")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(arguments.models / "base")
    model = AutoModelForCausalLM.from_pretrained(arguments.models / "base", dtype=torch.bfloat16).eval()
    asked = ([{"role": "user", "content": item["question"]}] for item in chat_items()[: arguments.items])
    prompts = [
        tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True)["input_ids"]
        for turns in asked
    ]
    prompts.sort(key=len)
    with torch.inference_mode(), packed_weights(model):
        found = measure(model, prompts)
    about = {"machine": machine("torch", "transformers"), "items": arguments.items, "tokens": TOKENS}
    text = json.dumps(about | {"differences": summary(found)}, indent=1)
    RESULTS.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
