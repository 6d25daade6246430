"""The lm-eval tasks of the generation benchmark: worked answers, short answers, free chat.

``worked`` asks the evaluated problems of :mod:`experiments.generation.problems` after five fixed examples; ``short``
asks the plain facts of :mod:`experiments.smollm2.data`, without examples and after five; ``chat`` asks for a few free
sentences that must have one word in them.

Run from the repository root: ``python -m experiments.generation.data`` writes ``tasks/*.jsonl``, always the same.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

from experiments.generation.problems import KINDS, SEED, evaluation_problems, example_problems
from experiments.smollm2 import words
from experiments.smollm2.data import evaluation_items

TASKS_FOLDER = Path(__file__).parent / "tasks"
CHATS = 240
WORD = "because"
REQUESTS = (
    "Explain in a few sentences what {article} {noun} is good for.",
    "Write a short story about {article} {noun} and {other_article} {other}.",
    "Why might a child like {article} {adjective} {noun}? Answer in a few sentences.",
    "What is the difference between {article} {noun} and {other_article} {other}? Keep it short.",
    "Give me three reasons to draw {article} {adjective} {noun}.",
)


def article(word: str) -> str:
    """The indefinite article of a word."""
    return "an" if word[0] in "aeiou" else "a"


def chat_items() -> list[dict[str, Any]]:
    """Distinct requests for free sentences."""
    rng = random.Random(f"generation/{SEED}/chat")
    found: dict[str, None] = {}
    while len(found) < CHATS:
        (noun, other), adjective = rng.sample(words.NOUNS, 2), rng.choice(words.ADJECTIVES)
        request = rng.choice(REQUESTS)
        before = adjective if "{adjective}" in request else noun
        text = request.format(
            article=article(before), noun=noun, adjective=adjective, other_article=article(other), other=other
        )
        found.setdefault(f'{text} Use the word "{WORD}".')
    return [{"question": text, "answer": WORD} for text in found]


def short_items() -> list[dict[str, Any]]:
    """Plain facts as questions with one short answer; the first five are the examples of the others."""
    items = evaluation_items("general")
    random.Random(f"generation/{SEED}/short").shuffle(items)
    return [{"question": item.question, "answer": item.options[item.answer]} for item in items]


def files() -> dict[str, list[dict[str, Any]]]:
    """The rows of every data file, by its name without ending."""
    worked = [problem for pair in zip(*map(evaluation_problems, KINDS), strict=True) for problem in pair]
    short = short_items()
    return {
        "worked": [asdict(problem) for problem in worked],
        "worked_examples": [asdict(problem) for problem in example_problems()],
        "short": short[5:],
        "short_examples": short[:5],
        "chat": chat_items(),
    }


def jsonl(rows: list[dict[str, Any]]) -> str:
    """The text of a data file, one row a line."""
    return "".join(json.dumps(row) + "\n" for row in rows)


def main() -> None:
    """Writes the data files beside their tasks."""
    for name, rows in files().items():
        (TASKS_FOLDER / f"{name}.jsonl").write_text(jsonl(rows), encoding="utf-8")
        print(f"{name}: {len(rows)} rows")


if __name__ == "__main__":
    main()
