"""Twenty small problems of our own, ten with the fields of HumanEval and ten with those of MBPP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.fitness.conftest import write_jsonl

# Name and arguments, what it does, body, and pairs of call and result.
_COMPLETED: tuple[tuple[str, str, str, tuple[tuple[str, str], ...]], ...] = (
    ("middle(a, b, c)", "The number of three that is neither the smallest nor the largest.",
     "return sorted([a, b, c])[1]", (("middle(3, 1, 2)", "2"), ("middle(5, 5, 1)", "5"))),
    ("vowels(text)", "How many letters of a text are vowels, in either case.",
     "return sum(letter in 'aeiou' for letter in text.lower())", (("vowels('Audio')", "4"), ("vowels('')", "0"))),
    ("pairs(items)", "Neighbouring items as pairs: pairs([1, 2, 3]) is [(1, 2), (2, 3)].",
     "return list(zip(items, items[1:]))", (("pairs([1, 2, 3])", "[(1, 2), (2, 3)]"), ("pairs([1])", "[]"))),
    ("digital_root(n)", "Sums the digits of n until one digit is left.",
     "while n > 9:\n        n = sum(map(int, str(n)))\n    return n",
     (("digital_root(98765)", "8"), ("digital_root(0)", "0"))),
    ("longest_run(bits)", "Length of the longest run of ones in a text of zeros and ones.",
     "return max(map(len, bits.split('0')))", (("longest_run('0110111')", "3"), ("longest_run('')", "0"))),
    ("merge_sorted(a, b)", "Merges two sorted lists into one.",
     "import heapq\n    return list(heapq.merge(a, b))",
     (("merge_sorted([1, 4], [2, 3])", "[1, 2, 3, 4]"), ("merge_sorted([], [7])", "[7]"))),
    ("is_pangram(text)", "Whether a text holds every letter from a to z.",
     "return set('abcdefghijklmnopqrstuvwxyz') <= set(text.lower())",
     (("is_pangram('Sphinx of black quartz, judge my vow')", "True"), ("is_pangram('abc')", "False"))),
    ("transpose(rows)", "Rows of a table as columns.",
     "return [list(column) for column in zip(*rows)]", (("transpose([[1, 2], [3, 4]])", "[[1, 3], [2, 4]]"),)),
    ("collatz_steps(n)", "Steps of the Collatz sequence from n to 1.",
     "steps = 0\n    while n != 1:\n        n, steps = 3 * n + 1 if n % 2 else n // 2, steps + 1\n    return steps",
     (("collatz_steps(6)", "8"), ("collatz_steps(1)", "0"))),
    ("initials(name)", "First letters of the words of a name, in capitals.",
     "return ''.join(word[0].upper() for word in name.split())", (("initials('ada king lovelace')", "'AKL'"),)),
)  # fmt: skip

# Text, code, and the three tests that MBPP shows.
_WRITTEN: tuple[tuple[str, str, tuple[str, str, str]], ...] = (
    ("Write a function to double every number of a list.",
     "def doubled(numbers):\r\n  return [2 * n for n in numbers]",
     ("assert doubled([1, 2]) == [2, 4]", "assert doubled([]) == []", "assert doubled([-3]) == [-6]")),
    ("Write a python function to count the words of a text.", "def count_words(text):\r\n  return len(text.split())",
     ("assert count_words('a b') == 2", "assert count_words('') == 0", "assert count_words(' x ') == 1")),
    ("Write a function to find the common elements of two lists, sorted.",
     "def common(a, b):\r\n  return sorted(set(a) & set(b))",
     ("assert common([1, 2], [2]) == [2]", "assert common([], [1]) == []", "assert common([3, 1], [1, 3]) == [1, 3]")),
    ("Write a function to reverse the words of a sentence.",
     "def reverse_words(text):\r\n  return ' '.join(reversed(text.split()))",
     ("assert reverse_words('a b c') == 'c b a'", "assert reverse_words('') == ''",
      "assert reverse_words('x') == 'x'")),
    ("Write a python function to check whether a year is a leap year.",
     "import calendar\r\ndef leap(year):\r\n  return calendar.isleap(year)",
     ("assert leap(2000) == True", "assert leap(1900) == False", "assert leap(2024) == True")),
    ("Write a function to count how often each item of a list occurs.",
     "from collections import Counter\r\ndef frequencies(items):\r\n  return dict(Counter(items))",
     ("assert frequencies([1, 1, 2]) == {1: 2, 2: 1}", "assert frequencies([]) == {}",
      "assert frequencies(['a']) == {'a': 1}")),
    ("Write a function to flatten a list of lists.",
     "def flatten(rows):\r\n  return [item for row in rows for item in row]",
     ("assert flatten([[1], [2, 3]]) == [1, 2, 3]", "assert flatten([]) == []", "assert flatten([[], [4]]) == [4]")),
    ("Write a python function to find the area of a triangle from its three sides, rounded to two digits.",
     "import math\r\ndef area(a, b, c):\r\n  s = (a + b + c) / 2\r\n"
     "  return round(math.sqrt(s * (s - a) * (s - b) * (s - c)), 2)",
     ("assert area(3, 4, 5) == 6.0", "assert area(6, 8, 10) == 24.0", "assert area(2, 2, 2) == 1.73")),
    ("Write a function to swap the case of every letter.", "def swapped(text):\r\n  return text.swapcase()",
     ("assert swapped('aB') == 'Ab'", "assert swapped('') == ''", "assert swapped('1x') == '1X'")),
    ("Write a function to find the second largest of the different numbers of a list.",
     "def second(numbers):\r\n  return sorted(set(numbers))[-2]",
     ("assert second([1, 2, 3]) == 2", "assert second([5, 5, 4]) == 4", "assert second([0, -1]) == -1")),
)  # fmt: skip


def humaneval() -> list[dict[str, Any]]:
    """Problems with the fields of HumanEval."""
    return [
        {
            "task_id": f"Ours/{place}",
            "prompt": f'def {head}:\n    """{says}\n    """\n',
            "canonical_solution": f"    {body}\n",
            "test": "METADATA = {}\n\n\ndef check(candidate):\n"
            + "".join(
                f"    assert {call.replace(head.split('(')[0], 'candidate', 1)} == {value}\n" for call, value in tests
            ),
            "entry_point": head.split("(")[0],
        }
        for place, (head, says, body, tests) in enumerate(_COMPLETED)
    ]


def mbpp() -> list[dict[str, Any]]:
    """Problems with the fields of MBPP."""
    return [
        {
            "task_id": 2000 + place,
            "text": text,
            "code": code,
            "test_list": list(tests),
            "test_setup_code": "",
            "challenge_test_list": [],
        }
        for place, (text, code, tests) in enumerate(_WRITTEN)
    ]


def lay_out(folder: Path) -> None:
    """Writes both where the ``datasets`` library finds them under the names of the public data sets, in this folder."""
    ours = folder / "openai" / "openai_humaneval"
    ours.mkdir(parents=True)
    write_jsonl(ours / "test.jsonl", humaneval())
    other = folder / "google-research-datasets" / "mbpp"
    other.mkdir(parents=True)
    write_jsonl(other / "test.jsonl", mbpp())
    (other / "README.md").write_text(
        "---\nconfigs:\n- {config_name: full, data_files: [{split: test, path: test.jsonl}]}\n---\n"
    )
