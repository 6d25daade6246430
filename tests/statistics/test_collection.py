"""Each statistic against its definition, worked out with PyTorch's own hooks and gradients; windows change nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
import torch

from evomerge.errors import InputError
from evomerge.merging import LiveModel
from evomerge.statistics import Calibration, Collection, Limits, Passage, Progress, Wanted, collect, names
from tests.statistics.conftest import DENSE, ROUTERS, calibration, collected

TEXTS = calibration(12, 7, 9)


def _module(name: str) -> str:
    return name.removesuffix(".weight")


def _inputs(live: LiveModel, texts: Calibration) -> dict[str, torch.Tensor]:
    """All inputs of each module with a weight, in float64, ``(tokens, channels)``."""
    rows: dict[str, list[torch.Tensor]] = defaultdict(list)
    handles = [
        module.register_forward_hook(
            lambda _m, args, _o, name=name: rows[name].append(args[0].double().flatten(0, -2))  # type: ignore[misc]
        )
        for name, module in live.model.named_modules()
        if isinstance(getattr(module, "weight", None), torch.Tensor) and not isinstance(module, torch.nn.Embedding)
    ]
    for passage in texts.passages:
        live.model(torch.from_numpy(passage.ids).long()[None])
    for handle in handles:
        handle.remove()
    return {name: torch.cat(found) for name, found in rows.items()}


def _gradients(live: LiveModel, passages: tuple[Passage, ...]) -> dict[str, torch.Tensor]:
    """Gradients of the mean loss over the scored tokens of several sequences."""
    live.model.requires_grad_(True)
    losses = []
    for passage in passages:
        ids = torch.from_numpy(passage.ids).long()[None]
        logits = live.model(ids).logits[0, :-1]
        losses.append(torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none")[passage.scored[1:]])
    torch.cat(losses).mean().backward()
    found = {name: one.grad.double() for name, one in live.model.named_parameters() if one.grad is not None}
    live.model.zero_grad()
    live.model.requires_grad_(False)
    return found


def test_inputs_of_matrices_and_norms(llama: LiveModel) -> None:
    inputs = _inputs(llama, TEXTS)
    gram, magnitude = (collected(llama, TEXTS, Wanted(name)) for name in ("gram", "channel_abs"))
    assert len(gram) == 15  # seven matrices in each of two layers, and the head
    assert len(magnitude) == 20  # and five norms
    assert "model.embed_tokens.weight" not in magnitude
    for name, found in gram.items():
        own = inputs[_module(name)]
        torch.testing.assert_close(found.double(), own.T @ own / len(own), rtol=1e-5, atol=1e-6)
    for name, found in magnitude.items():
        torch.testing.assert_close(found.double(), inputs[_module(name)].abs().mean(0), rtol=1e-5, atol=1e-6)


def test_tensors_with_the_same_input_share_an_array(llama: LiveModel) -> None:
    plan = Collection.of(llama, TEXTS, {"g": Wanted("gram")}, Limits()).plan
    in_layer = {name: other for name, other in plan.aliases["g"].items() if ".layers.0." in name}
    assert {name.rsplit(".", 2)[1]: other.rsplit(".", 2)[1] for name, other in in_layer.items()} == {
        "q_proj": "k_proj",
        "v_proj": "k_proj",
        "up_proj": "gate_proj",
    }


def test_a_wide_input_has_the_diagonal_and_says_so(llama: LiveModel) -> None:
    wanted = Wanted("gram", {"limit": 16})
    whole, narrow = collected(llama, TEXTS, Wanted("gram")), collected(llama, TEXTS, wanted)
    name = "model.layers.0.mlp.down_proj.weight"
    torch.testing.assert_close(narrow[name], whole[name].diagonal())
    assert narrow["lm_head.weight"].shape == (16, 16)
    notes = Collection.of(llama, TEXTS, {"g": wanted}, Limits()).plan.notes["g"]
    assert notes[name] == "its 32 inputs are more than the limit of 16: the diagonal alone"
    assert len(notes) == 2


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("answer", [None, 3])
def test_gradients_of_every_tensor(llama: LiveModel, batch: int, answer: int | None) -> None:
    texts = calibration(12, 7, 9, answer=answer)
    batches = [texts.passages[start : start + batch] for start in range(0, 3, batch)]
    gradients = [_gradients(llama, one) for one in batches]
    fisher, snip = (collected(llama, texts, Wanted(name, {"batch": batch})) for name in ("fisher", "snip"))
    state = llama.model.state_dict()
    assert fisher.keys() == snip.keys() == state.keys()
    for name in state:
        squares = torch.stack([one[name] ** 2 for one in gradients]).mean(0)
        torch.testing.assert_close(fisher[name].double(), squares, rtol=1e-3, atol=1e-12)
        scores = state[name].double().abs() * sum(one[name].abs() for one in gradients)
        torch.testing.assert_close(snip[name].double(), scores, rtol=1e-3, atol=1e-9)


def test_squares_far_below_others_are_kept(llama: LiveModel) -> None:
    """Gradients of 1e-6 have squares that a float32 sum of larger ones would drop."""
    fisher = collected(llama, TEXTS, Wanted("fisher"))["model.embed_tokens.weight"]
    texts = Calibration(tuple(reversed(TEXTS.passages)), TEXTS.tokens)
    turned = collected(llama, texts, Wanted("fisher"))["model.embed_tokens.weight"]
    assert torch.equal(fisher, turned)


def test_gradients_at_outputs(llama: LiveModel) -> None:
    rows: dict[str, list[torch.Tensor]] = defaultdict(list)
    llama.model.requires_grad_(True)
    handles = [
        module.register_full_backward_hook(
            lambda _m, _i, out, name=name: rows[name].append(out[0].double().flatten(0, -2))  # type: ignore[misc]
        )
        for name, module in llama.model.named_modules()
        if isinstance(module, torch.nn.Linear)
    ]
    for passage in TEXTS.passages:
        ids = torch.from_numpy(passage.ids).long()[None]
        llama.model(ids, labels=ids).loss.backward()
    for handle in handles:
        handle.remove()
    llama.model.zero_grad()
    llama.model.requires_grad_(False)
    found = collected(llama, TEXTS, Wanted("output_gram"))
    assert len(found) == 14
    assert "lm_head.weight" not in found
    for name, array in found.items():
        own = torch.cat(rows[_module(name)])
        torch.testing.assert_close(array.double(), own.T @ own / len(own), rtol=1e-3, atol=1e-10)


@pytest.mark.parametrize("name", names())
def test_windows_change_no_bit(live_of: Callable[[str], LiveModel], name: str) -> None:
    live = live_of("mixtral" if name in ROUTERS else "llama")
    wanted, small = Wanted(name), {"fisher": 40_000, "snip": 20_000}.get(name, 9_000)
    if name in ("fisher", "gram", "output_gram", "snip"):  # the others are small, or not of this model
        assert len(Collection.of(live, TEXTS, {"": wanted}, Limits(small)).plan.passes) > 1
    whole, cut = collected(live, TEXTS, wanted), collected(live, TEXTS, wanted, small)
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[one], cut[one]) for one in whole)


def test_several_statistics_share_their_passes(llama: LiveModel) -> None:
    wanted = {name: Wanted(name) for name in DENSE}
    collection = Collection.of(llama, TEXTS, wanted, Limits())
    assert [one.batch for one in collection.plan.passes] == [0, 1]
    together: dict[str, Any] = defaultdict(dict)
    for window in collection.windows():
        for name, arrays in window.arrays.items():
            together[name] |= arrays
    for name in DENSE:
        alone = collected(llama, TEXTS, Wanted(name))
        assert all(torch.equal(alone[one], array) for one, array in together[name].items())


def test_a_limit_that_one_tensor_exceeds_is_refused(llama: LiveModel) -> None:
    with pytest.raises(InputError, match=r"gram of 'model.layers.0.mlp.down_proj.weight' needs 4096 bytes.*4000"):
        Collection.of(llama, TEXTS, {"": Wanted("gram")}, Limits(4000))


def test_nothing_to_read_is_refused(llama: LiveModel) -> None:
    with pytest.raises(InputError, match="no calibration texts"):
        collect(llama, Calibration((), 8), {"": Wanted("gram")})


def test_the_model_is_left_as_it_was(llama: LiveModel) -> None:
    before = llama.checksum()
    for name in DENSE:
        collected(llama, TEXTS, Wanted(name))
    assert llama.checksum() == before
    assert not any(one.requires_grad or one.grad is not None for one in llama.model.parameters())
    modules = list(llama.model.modules())
    assert not any(one._forward_pre_hooks or one._forward_hooks for one in modules)


def test_progress(llama: LiveModel) -> None:
    told: list[Progress] = []
    for _ in collect(llama, TEXTS, {"g": Wanted("gram"), "f": Wanted("fisher")}, report=told.append):
        pass
    assert [(one.done, one.total) for one in told] == [(count, 6) for count in range(1, 7)]
    assert told[-1].left == 0.0
    assert told[0].left > 0.0
