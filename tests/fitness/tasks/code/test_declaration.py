"""Programs in answers, as models write them."""

from __future__ import annotations

import pytest

from evomerge.fitness.tasks.code.declaration import code_in


@pytest.mark.parametrize(
    ("answer", "program"),
    [
        ("x = 1\ny = 2", "x = 1\ny = 2"),
        ("Sure:\n```python\nx = 1\n```\nDone.", "x = 1\n"),
        ("```\nx = 1\n```", "x = 1\n"),
        ("```py\nx = 1\n```\nor\n```py\nx = 2\n```", "x = 1\n"),
        ("x = 1\n```\nThat was it.", "x = 1\n"),  # the question opened the block
        ("```python\nx = 1", "x = 1"),  # the answer ran out of tokens
        ("x = '```'", "x = '```'"),
        ("```python", ""),
        ("", ""),
    ],
)
def test_the_program_in_an_answer(answer: str, program: str) -> None:
    assert code_in(answer) == program
