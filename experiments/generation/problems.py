"""Generated word problems in the form of GSM8K: a question, an answer worked in steps, and its number after ``####``.

Skills are ``money`` (buying, selling, sharing, collecting) and ``rates`` (speeds, machines, hours of a week, tanks).
Every sentence of an answer has several wordings, one of which is drawn, so that models which solve a problem alike
still write it differently. The numbers are the key of a problem; no key of an evaluation item occurs in training.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from experiments.smollm2 import words

SEED = 0
ITEMS_PER_SKILL = 300
EXAMPLES = 5


@dataclass(frozen=True)
class Problem:
    """One word problem; the fields are those of a line of the JSONL file.

    Attributes:
        key: Its kind and numbers, equal for two problems that ask the same thing.
        question: The problem, in one paragraph.
        answer: Sentences with one calculation each, one a line, then ``#### `` and the result.
    """

    key: str
    question: str
    answer: str


OPENINGS = (
    "We go through it step by step.",
    "Let us work this out one step at a time.",
    "First we write down what is known.",
)
CLOSINGS = ("So the answer is {}.", "The answer to the question is {}.", "Therefore the answer is {}.")


def answered(rng: random.Random, steps: list[tuple[str, ...]], result: int, unit: str) -> str:
    """An answer with one wording of every sentence."""
    closing = rng.choice(CLOSINGS).format(f"{result} {unit}")
    return "\n".join([rng.choice(OPENINGS), *map(rng.choice, steps), closing, f"#### {result}"])


def selling(rng: random.Random) -> Problem:
    """Boxes of things, some given away, the rest sold."""
    name, other = rng.sample(words.NAMES, 2)
    thing = rng.choice(words.THINGS)
    boxes, each, price = rng.randint(3, 9), rng.randint(4, 12), rng.randint(2, 5)
    given = rng.randint(2, boxes * each // 2)
    total, left = boxes * each, boxes * each - given
    money = left * price
    question = (
        f"{name} has {boxes} boxes with {each} {thing} in each box. {name} gives {given} {thing} to {other} and sells "
        f"all the others for {price} dollars each. How many dollars does {name} get?"
    )
    steps = [
        (
            f"The {boxes} boxes hold {boxes} * {each} = {total} {thing} in all.",
            f"At first {name} has {boxes} * {each} = {total} {thing}.",
            f"There are {boxes} * {each} = {total} {thing} in the boxes.",
        ),
        (
            f"After giving {given} of them to {other}, {name} has {total} - {given} = {left} {thing} left.",
            f"{other} gets {given} of them, so {total} - {given} = {left} {thing} are left.",
        ),
        (
            f"Sold for {price} dollars each, they bring {left} * {price} = {money} dollars.",
            f"{name} sells them and gets {left} * {price} = {money} dollars.",
        ),
    ]
    return Problem(f"selling {boxes} {each} {given} {price}", question, answered(rng, steps, money, "dollars"))


def buying(rng: random.Random) -> Problem:
    """Two sorts of things bought with one note."""
    name = rng.choice(words.NAMES)
    first, second = rng.sample(words.THINGS, 2)
    a, b, p, q = rng.randint(2, 9), rng.randint(2, 9), rng.randint(2, 8), rng.randint(2, 8)
    one, two = a * p, b * q
    total = one + two
    purse = total + rng.randint(3, 40)
    question = (
        f"{name} buys {a} {first} for {p} dollars each and {b} {second} for {q} dollars each. {name} had {purse} "
        "dollars before. How many dollars are left?"
    )
    steps = [
        (
            f"The {first} cost {a} * {p} = {one} dollars.",
            f"{name} pays {a} * {p} = {one} dollars for the {first}.",
        ),
        (
            f"The {second} cost {b} * {q} = {two} dollars.",
            f"For the {second}, {name} pays {b} * {q} = {two} dollars more.",
        ),
        (
            f"Together that is {one} + {two} = {total} dollars.",
            f"In all {name} spends {one} + {two} = {total} dollars.",
        ),
        (
            f"Of the {purse} dollars, {purse} - {total} = {purse - total} dollars are left.",
            f"So {name} has {purse} - {total} = {purse - total} dollars left.",
        ),
    ]
    return Problem(f"buying {a} {p} {b} {q} {purse}", question, answered(rng, steps, purse - total, "dollars"))


def sharing(rng: random.Random) -> Problem:
    """Two collections put together and shared among friends."""
    name, other = rng.sample(words.NAMES, 2)
    thing = rng.choice(words.THINGS)
    friends, share, times = rng.randint(3, 8), rng.randint(4, 12), rng.randint(2, 4)
    total = friends * share
    more = 1 + (total - 1) % (times + 1)
    own = (total - more) // (times + 1)
    twice = own * times
    question = (
        f"{name} has {own} {thing} and {other} has {times} times as many. They find {more} more {thing}, put all "
        f"together and share them equally among {friends} children. How many {thing} does each child get?"
    )
    steps = [
        (
            f"{other} has {times} * {own} = {twice} {thing}.",
            f"{times} times as many as {own} is {times} * {own} = {twice}, which {other} has.",
        ),
        (
            f"Both together have {own} + {twice} = {own + twice} {thing}.",
            f"That makes {own} + {twice} = {own + twice} {thing} together.",
        ),
        (
            f"With the {more} they find, there are {own + twice} + {more} = {total} {thing}.",
            f"They find {more} more, which makes {own + twice} + {more} = {total} {thing}.",
        ),
        (
            f"Each of the {friends} children gets {total} / {friends} = {share} {thing}.",
            f"Shared equally, that is {total} / {friends} = {share} {thing} for each child.",
        ),
    ]
    return Problem(f"sharing {own} {times} {more} {friends}", question, answered(rng, steps, share, thing))


def travelling(rng: random.Random) -> Problem:
    """Two stretches at two speeds, and what remains of a way."""
    name = rng.choice(words.NAMES)
    slow, fast, h, k = rng.randint(3, 6), rng.randint(10, 20), rng.randint(2, 5), rng.randint(2, 5)
    one, two = slow * h, fast * k
    total, way = one + two, one + two + rng.randint(5, 40)
    question = (
        f"{name} walks for {h} hours at {slow} kilometers per hour, then rides a bicycle for {k} hours at {fast} "
        f"kilometers per hour. The whole way is {way} kilometers long. How many kilometers remain?"
    )
    steps = [
        (
            f"Walking, {name} covers {h} * {slow} = {one} kilometers.",
            f"In {h} hours on foot {name} gets {h} * {slow} = {one} kilometers far.",
        ),
        (
            f"By bicycle it is {k} * {fast} = {two} kilometers.",
            f"Riding the bicycle adds {k} * {fast} = {two} kilometers.",
        ),
        (
            f"That is {one} + {two} = {total} kilometers so far.",
            f"Together {name} has gone {one} + {two} = {total} kilometers.",
        ),
        (
            f"So {way} - {total} = {way - total} kilometers remain.",
            f"Of the whole way, {way} - {total} = {way - total} kilometers remain.",
        ),
    ]
    return Problem(f"travelling {h} {slow} {k} {fast} {way}", question, answered(rng, steps, way - total, "kilometers"))


def producing(rng: random.Random) -> Problem:
    """Machines that make things for hours, some of which break."""
    thing = rng.choice(words.THINGS)
    machines, each, hours = rng.randint(2, 6), rng.randint(3, 9), rng.randint(3, 8)
    hourly = machines * each
    total = hourly * hours
    broken = rng.randint(2, total // 3)
    question = (
        f"A workshop has {machines} machines, and each machine makes {each} {thing} per hour. They run for {hours} "
        f"hours, but {broken} of the {thing} break. How many whole {thing} are there at the end?"
    )
    steps = [
        (
            f"In one hour the machines make {machines} * {each} = {hourly} {thing}.",
            f"All {machines} machines together make {machines} * {each} = {hourly} {thing} per hour.",
        ),
        (
            f"In {hours} hours that is {hourly} * {hours} = {total} {thing}.",
            f"They run for {hours} hours, so they make {hourly} * {hours} = {total} {thing}.",
        ),
        (
            f"Since {broken} break, {total} - {broken} = {total - broken} whole {thing} are there.",
            f"Without the {broken} that break, there are {total} - {broken} = {total - broken} {thing}.",
        ),
    ]
    return Problem(
        f"producing {machines} {each} {hours} {broken}", question, answered(rng, steps, total - broken, thing)
    )


def working(rng: random.Random) -> Problem:
    """Hours of a week, on weekdays and on a day of the weekend, over some weeks."""
    name = rng.choice(words.NAMES)
    day = rng.choice(words.DAYS[5:])
    daily, extra, weeks, days = rng.randint(3, 8), rng.randint(2, 6), rng.randint(2, 6), rng.randint(3, 5)
    usual = daily * days
    weekly = usual + extra
    total = weekly * weeks
    question = (
        f"Every week {name} works {daily} hours on each of {days} weekdays and {extra} hours on {day}. How many hours "
        f"does {name} work in {weeks} weeks?"
    )
    steps = [
        (
            f"On weekdays {name} works {days} * {daily} = {usual} hours a week.",
            f"The {days} weekdays make {days} * {daily} = {usual} hours.",
        ),
        (
            f"With {day} it is {usual} + {extra} = {weekly} hours a week.",
            f"Adding the {extra} hours of {day}, a week has {usual} + {extra} = {weekly} hours of work.",
        ),
        (
            f"In {weeks} weeks {name} works {weekly} * {weeks} = {total} hours.",
            f"Over {weeks} weeks that makes {weekly} * {weeks} = {total} hours.",
        ),
    ]
    return Problem(f"working {daily} {days} {extra} {weeks}", question, answered(rng, steps, total, "hours"))


KINDS: dict[str, tuple[Callable[[random.Random], Problem], ...]] = {
    "money": (selling, buying, sharing),
    "rates": (travelling, producing, working),
}


def evaluation_problems(skill: str, count: int = ITEMS_PER_SKILL) -> list[Problem]:
    """The evaluated problems of a skill.

    Args:
        skill: A key of ``KINDS``.
        count: How many.

    Returns:
        Problems with distinct keys and distinct questions.
    """
    rng = random.Random(f"generation/{SEED}/evaluation/{skill}")
    found: dict[str, Problem] = {}
    while len(found) < count:
        problem = rng.choice(KINDS[skill])(rng)
        found.setdefault(problem.key, problem)
    return list(found.values())


def example_problems() -> list[Problem]:
    """The examples that come before every evaluated problem, none of which is evaluated."""
    asked = {problem.key for skill in KINDS for problem in evaluation_problems(skill)}
    rng = random.Random(f"generation/{SEED}/examples")
    kinds = [kind for pair in zip(*KINDS.values(), strict=True) for kind in pair][:EXAMPLES]
    found = []
    for kind in kinds:
        problem = kind(rng)
        while problem.key in asked:
            problem = kind(rng)
        found.append(problem)
    return found


def training_examples(skill: str, seed: int = SEED) -> Iterator[tuple[str, str]]:
    """Endless training examples of one skill, none of which asks what an evaluated problem or an example asks.

    Args:
        skill: A key of ``KINDS``.
        seed: Seed of the stream.

    Yields:
        A prompt without trailing space, and its answer.
    """
    forbidden = {problem.key for kind in KINDS for problem in evaluation_problems(kind)}
    forbidden |= {problem.key for problem in example_problems()}
    rng = random.Random(f"generation/{seed}/training/{skill}")
    while True:
        problem = rng.choice(KINDS[skill])(rng)
        if problem.key not in forbidden:
            yield f"Question: {problem.question}\nAnswer:", problem.answer
