"""Rows of routers, worked by hand."""

from __future__ import annotations

import torch

from evomerge.merging.mixture import ExpertPrompts, random_rows, rows_from_embeddings, rows_from_states


def test_rows_point_from_what_is_not_meant_to_what_is() -> None:
    embeddings = torch.tensor([[3.0, 0.0], [0.0, 4.0], [0.0, -1.0]])
    prompts = [ExpertPrompts(((0, 0), (1,))), ExpertPrompts(((0,),), ((1, 1),))]
    rows = rows_from_embeddings(embeddings, prompts)
    torch.testing.assert_close(rows[0], torch.tensor([6.0, 4.0]) / 52**0.5)
    torch.testing.assert_close(rows[1], torch.tensor([1.0, -1.0]) / 2**0.5)


def test_rows_from_states() -> None:
    states = torch.tensor([[3.0, 4.0], [0.0, 2.0]]), torch.tensor([[0.0, 4.0], [1.0, 2.0]])
    rows = rows_from_states([(states[0], None), states])
    torch.testing.assert_close(rows[:, 0], torch.tensor([[0.6, 0.8], [0.0, 1.0]]))
    torch.testing.assert_close(rows[:, 1], torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))


def test_chance_repeats() -> None:
    assert torch.equal(random_rows(2, 3, 8, 5), random_rows(2, 3, 8, 5))
    torch.testing.assert_close(random_rows(2, 3, 8, 5).norm(dim=-1), torch.ones(2, 3))
    assert not torch.equal(random_rows(2, 3, 8, 5), random_rows(2, 3, 8, 6))
