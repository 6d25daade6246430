"""Binding of ``program/mixture.py``."""

from __future__ import annotations

import torch

from evomerge.kernels.blocks import flat
from evomerge.kernels.fused import flags
from evomerge.kernels.fused.launch import BLOCK, WORD, launches, packed, part, signed
from evomerge.kernels.fused.program import steps
from evomerge.kernels.fused.program.mixture import mix_kernel
from evomerge.kernels.keys import key_words
from evomerge.kernels.masks import BernoulliMask, Mask, RankWindow, Threshold, Window
from evomerge.kernels.operands import Mixed, Mixture


def mix(mixture: Mixture, out: torch.Tensor) -> Mixed:
    """See :func:`evomerge.kernels.mix`; into contiguous memory."""
    finite = flags.raised(out.device)
    counts = _counts(out.device) if mixture.elect and mixture.parts and mixture.tie is None else None
    _launch(mixture, flat(out), finite, counts)
    return Mixed(finite, 0 if counts is None else int(counts[0]))


def net_sign(mixture: Mixture) -> int:
    """See :func:`evomerge.kernels.net_sign`; of at least one part and element."""
    counts = _counts(mixture.like.device)
    _launch(mixture, None, None, counts)
    return int(counts[1])


def _launch(
    mixture: Mixture, out: torch.Tensor | None, finite: torch.Tensor | None, counts: torch.Tensor | None
) -> None:
    """Mixes into ``out`` and lowers a flag, or counts, or both."""
    parts, base, select, like = mixture.parts, mixture.base, mixture.select, mixture.like
    chosen = () if select is None else tuple(map(flat, select.values.models))
    factors = tuple((float(own.factor), float(own.weight), float(own.vote), float(own.share)) for own in parts)
    form = (
        tuple(_kind(own.mask) for own in parts),
        len(parts),
        len(chosen),
        bool(parts) and (mixture.elect or out is None),
        mixture.divide,
    )
    for span, grid in launches(like.numel(), like.device):
        mix_kernel[grid](
            (None if out is None else part(out, span), finite, counts),
            (
                None if base is None else part(base, span),
                tuple(part(own.model, span) for own in parts),
                tuple(_ranks(own.mask, span, like.device) for own in parts),
                tuple(part(model, span) for model in chosen),
            ),
            (
                tuple(_numbers(own.mask, span) for own in parts),
                factors,
                () if select is None else _window(select.window, span),
                1 / len(chosen) ** 2 if chosen else 0.0,
                float(-mixture.scale),
                float(mixture.tie or 0.0),
            ),
            (signed(span.start % WORD), span.stop - span.start),
            FORM=form,
            BLOCK=BLOCK,
            enable_fp_fusion=False,
        )


def _kind(mask: Mask | None) -> int:
    if mask is None:
        kind = steps.ALL
    elif isinstance(mask, Window):
        kind = steps.WINDOW
    elif isinstance(mask, RankWindow):
        kind = steps.RANKS
    elif mask.ranks is None:
        kind = steps.BERNOULLI
    else:
        kind = steps.RESCALED if mask.rescale else steps.RANKED
    return int(kind.value)


def _numbers(mask: Mask | None, span: slice) -> tuple[float, ...]:
    """The numbers of a mask, as ``sparsified`` of ``program/steps.py`` takes them."""
    if mask is None:
        return ()
    if isinstance(mask, Window):
        return _window(mask, span)
    if isinstance(mask, BernoulliMask):
        words = key_words(mask.key, span.start // WORD)
        return (*map(packed, words), float(mask.probability), float(mask.step))
    return packed(mask.first), packed(mask.stop)


def _window(window: Window, span: slice) -> tuple[int, ...]:
    return (*_threshold(window.within, span), *_threshold(window.beyond, span))


def _threshold(threshold: Threshold, span: slice) -> tuple[int, int]:
    """Bits, and the end among the span's own indices."""
    return packed(threshold.bits), packed(min(max(threshold.end, span.start), span.stop) - span.start)


def _ranks(mask: Mask | None, span: slice, device: torch.device) -> torch.Tensor | None:
    ranks = getattr(mask, "ranks", None)
    if ranks is None:
        return None
    if ranks.dtype != torch.uint16:
        raise ValueError("expected ranks as uint16")
    return part(ranks, span).to(device)


def _counts(device: torch.device) -> torch.Tensor:
    """The number of tied elements, and the sum of the elected signs."""
    return torch.zeros(2, dtype=torch.int64, device=device)
