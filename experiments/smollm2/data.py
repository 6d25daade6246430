"""Generated questions: training examples of three skills, and the items of five lm-eval tasks.

Skills are ``lists`` (positions, order and selection in word lists), ``numbers`` (sums, weekdays, units) and
``zovian`` (a made-up language with adjectives after nouns). The task ``transfer`` needs lists and Zovian at once and
belongs to no expert; ``general`` asks plain facts and English that the base knows, and guards against forgetting.

Every question has a key, the content without names and wording. No key of an evaluation item occurs in training.

Run from the repository root: ``python -m experiments.smollm2.data`` writes ``tasks/*.jsonl``, always the same.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from experiments.smollm2 import words

SEED = 0
ITEMS_PER_TASK = 800
OPTIONS = 4
TASKS_FOLDER = Path(__file__).parent / "tasks"
ZOVIAN = words.zovian_dictionary()
UNITS = (
    ("weeks", "days", 7),
    ("hours", "minutes", 60),
    ("years", "months", 12),
    ("dozens", "pieces", 12),
    ("days", "hours", 24),
)


@dataclass(frozen=True)
class Item:
    """One four-choice question; the fields are those of a line of the JSONL files.

    Attributes:
        key: The content of the question, equal for two questions that ask the same thing.
        question: The prompt, without a trailing space.
        options: Four distinct answers.
        answer: Index of the right option.
    """

    key: str
    question: str
    options: tuple[str, ...]
    answer: int


def pose(rng: random.Random, key: str, question: str, right: str, wrong: list[str]) -> Item:
    """Make an item with its options in random order.

    Args:
        rng: Source of the order and of the choice among the wrong answers.
        key: Content of the question.
        question: The prompt.
        right: The right answer.
        wrong: At least three other answers; duplicates and the right answer are dropped.

    Returns:
        The item.

    Raises:
        ValueError: When fewer than three distinct wrong answers remain.
    """
    distinct = [text for text in dict.fromkeys(wrong) if text != right]
    options = [right, *rng.sample(distinct, OPTIONS - 1)]
    rng.shuffle(options)
    return Item(key, question, tuple(options), options.index(right))


def orders(rng: random.Random, items: list[str]) -> list[str]:
    """Eight random orders of a list, as text; they may repeat."""
    return [", ".join(rng.sample(items, len(items))) for _ in range(8)]


def list_operation(rng: random.Random) -> Item:
    """Ask one operation on a list of four or five nouns."""
    operation = rng.choice(["position", "reversed", "alphabetical", "longest", "without"])
    items = rng.sample(words.NOUNS, rng.choice([4, 5]) if operation in ("position", "without") else 4)
    if operation == "position":
        place = rng.randrange(len(items))
        command = ["First", "Second", "Third", "Fourth"][place] if place < len(items) - 1 else "Last"
        right, wrong = items[place], items
    elif operation == "longest":
        lengths = sorted(map(len, items))
        if lengths[-1] == lengths[-2]:
            return list_operation(rng)
        command, right, wrong = "Longest", max(items, key=len), items
    elif operation == "without":
        dropped = rng.choice(items)
        rest = [word for word in items if word != dropped]
        command, right = f"Without {dropped}", ", ".join(rest)
        wrong = [", ".join(word for word in items if word != other) for other in items]
    else:
        result = items[::-1] if operation == "reversed" else sorted(items)
        command, right = operation.capitalize(), ", ".join(result)
        wrong = [", ".join(items), ", ".join(items[::-1]), ", ".join(sorted(items)), *orders(rng, items)]
    text = ", ".join(items)
    return pose(rng, f"{command}: {text}", f"List: {text}\n{command}:", right, wrong)


def addition(rng: random.Random) -> Item:
    """Ask a sum or a difference of two-digit numbers in a sentence."""
    first, second = rng.randint(11, 89), rng.randint(11, 89)
    name, thing = rng.choice(words.NAMES), rng.choice(words.THINGS)
    if rng.random() < 0.5:
        right, verb = first + second, "gets {} more"
    else:
        first, second = max(first, second), min(first, second)
        right, verb = first - second, "gives away {}"
    question = f"{name} has {first} {thing} and {verb.format(second)}. Now {name} has"
    wrong = [f"{right + step} {thing}" for step in (-10, -2, -1, 1, 2, 10) if right + step >= 0]
    return pose(rng, f"{verb.format(second)} from {first}", question, f"{right} {thing}", wrong)


def weekday(rng: random.Random) -> Item:
    """Ask the weekday some days before or after another."""
    start, distance = rng.randrange(7), rng.randint(2, 20)
    sign, side = rng.choice([(1, "after"), (-1, "before")])
    question = f"The day {distance} days {side} {words.DAYS[start]} is"
    return pose(rng, question, question, words.DAYS[(start + sign * distance) % 7], words.DAYS)


def unit(rng: random.Random) -> Item:
    """Ask a quantity in a smaller unit."""
    big, small, factor = rng.choice(UNITS)
    count, rest = rng.randint(2, 9), rng.randint(1, min(factor - 1, 30))
    right = count * factor + rest
    question = f"{count} {big} and {rest} {small} are"
    wrong = [f"{right + step} {small}" for step in (-factor, -10, -1, 1, 10, factor)]
    return pose(rng, question, question, f"{right} {small}", wrong)


def number_question(rng: random.Random) -> Item:
    """Ask one question of the skill ``numbers``."""
    return rng.choice([addition, addition, weekday, unit])(rng)


def zovian_phrase(rng: random.Random) -> Item:
    """Ask the translation of an adjective and a noun, or of two nouns, into Zovian."""
    nouns = rng.sample(words.NOUNS_IN_ZOVIAN, 4)
    if rng.random() < 0.5:
        noun, (adjective, other) = nouns[0], rng.sample(words.ADJECTIVES, 2)
        english = f"{adjective} {noun}"
        pairs = [(noun, adjective), (noun, other), (nouns[1], adjective), (adjective, noun)]
        texts = [f"{ZOVIAN[a]} {ZOVIAN[b]}" for a, b in pairs]
    else:
        english = f"{nouns[0]} and {nouns[1]}"
        pairs = [(nouns[0], nouns[1]), (nouns[0], nouns[2]), (nouns[3], nouns[1]), (nouns[1], nouns[0])]
        texts = [f"{ZOVIAN[a]} en {ZOVIAN[b]}" for a, b in pairs]
    return pose(rng, english, f"English: {english}\nZovian:", texts[0], texts[1:])


def zovian_word(rng: random.Random) -> Item:
    """Ask one word of the dictionary (training only: knowledge of single words is what the phrases are made of)."""
    english = rng.choice(sorted(ZOVIAN))
    right, wrong = ZOVIAN[english], sorted(ZOVIAN.values())
    if rng.random() < 0.5:
        return pose(rng, english, f"English: {english}\nZovian:", right, wrong)
    return pose(rng, english, "English and Zovian:", f"{english}, {right}", [f"{english}, {text}" for text in wrong])


def transfer_question(rng: random.Random) -> Item:
    """Ask for a word of a list by position and then, line by line, for its Zovian word.

    A wrong answer has the wrong word, the wrong translation, or both: one of the two skills alone leaves two options.
    """
    items = rng.sample(words.NOUNS_IN_ZOVIAN, 4)
    place = rng.randrange(4)
    other = rng.choice([i for i in range(4) if i != place])
    command = ["First", "Second", "Third", "Last"][place]
    good, bad = items[place], items[other]
    right, *wrong = [
        f"{word}\nEnglish: {word}\nZovian: {ZOVIAN[translated]}"
        for word, translated in ((good, good), (bad, bad), (good, bad), (bad, good))
    ]
    text = ", ".join(items)
    return pose(rng, f"{command} in Zovian: {text}", f"List: {text}\n{command}:", right, wrong)


def general_items(rng: random.Random) -> list[Item]:
    """Pose every plain question of ``words``: capitals, opposites, kinds of things, past tenses, continents."""
    continent_of = {country: name for name, countries in words.CONTINENTS.items() for country in countries}
    kind_of = {member: kind for kind, members in words.KINDS.items() for member in members}
    families: list[tuple[dict[str, str], tuple[str, ...]]] = [
        (words.CAPITALS, ("The capital of {} is", "Question: Which city is the capital of {}?\nAnswer:")),
        ({city: land for land, city in words.CAPITALS.items()}, ("{} is the capital city of",)),
        (words.OPPOSITES, ("The opposite of {} is", 'Question: What is the opposite of "{}"?\nAnswer:')),
        (kind_of, ('The word "{}" names a type of', "Everyone knows that {} is a type of")),
        (words.PAST_TENSE, ('The past tense of "{}" is', "Today they {}. Yesterday they")),
        (continent_of, ("{} is a country in", "Question: On which continent is {}?\nAnswer:")),
    ]
    return [
        pose(rng, template.format(word), template.format(word), answer, list(dict.fromkeys(table.values())))
        for table, templates in families
        for template in templates
        for word, answer in table.items()
    ]


GENERATORS: dict[str, Callable[[random.Random], Item]] = {
    "lists": list_operation,
    "numbers": number_question,
    "zovian": zovian_phrase,
    "transfer": transfer_question,
}
SKILLS = ("lists", "numbers", "zovian")


def evaluation_items(task: str, count: int = ITEMS_PER_TASK) -> list[Item]:
    """The items of one task.

    Args:
        task: A key of ``GENERATORS``, or ``general``.
        count: How many to draw; ``general`` always gives all its questions.

    Returns:
        Items with distinct keys and distinct questions.
    """
    rng = random.Random(f"smollm2/{SEED}/evaluation/{task}")
    found: dict[str, Item] = {}
    if task == "general":
        found = {item.key: item for item in general_items(rng)}
    while len(found) < count and task != "general":
        item = GENERATORS[task](rng)
        found.setdefault(item.key, item)
    return list(found.values())


def training_examples(skill: str, seed: int = SEED) -> Iterator[tuple[str, str]]:
    """Endless training examples of one skill, none of which asks what an evaluation item asks.

    Args:
        skill: One of ``SKILLS``.
        seed: Seed of the stream.

    Yields:
        A prompt without trailing space, and its answer.
    """
    forbidden = {item.key for task in GENERATORS for item in evaluation_items(task)}
    rng = random.Random(f"smollm2/{seed}/training/{skill}")
    while True:
        generate = zovian_word if skill == "zovian" and rng.random() < 0.5 else GENERATORS[skill]
        item = generate(rng)
        if item.key not in forbidden:
            yield item.question, item.options[item.answer]


def jsonl(items: list[Item]) -> str:
    """The text of a task's JSONL file, one item a line."""
    return "".join(json.dumps(asdict(item)) + "\n" for item in items)


def main() -> None:
    """Write the items of every task beside its YAML file."""
    for task in (*GENERATORS, "general"):
        items = evaluation_items(task)
        (TASKS_FOLDER / f"{task}.jsonl").write_text(jsonl(items))
        print(f"{task}: {len(items)} items")


if __name__ == "__main__":
    main()
