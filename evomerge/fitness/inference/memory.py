"""Predicts the memory of scoring beside the weights, from a plan and a configuration alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evomerge.fitness.inference.batches import BatchPlan, Limits, PromptBatch
from evomerge.fitness.inference.encoding import field_of
from evomerge.fitness.inference.generation.drafted import most_drafted, room
from evomerge.fitness.inference.prompts import rejoined

# Activations alive in one layer: the residual stream, its float32 norm, queries, keys, values, the attention output.
_HIDDEN, _HIDDEN_FLOAT32 = 5, 2
# Gate, activation, up-projection and product of an MLP.
_INTERMEDIATE = 4
# Fields of configurations whose models scale or cap logits behind the head; the last one does so in float32.
_RESCALED = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier")
_CAPPED_IN_FLOAT32 = "output_logit_soft_cap"
# Workspace of matrix products and slack of the allocator.
_SCRATCH = 32 * 2**20


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a causal language model that determine its activations.

    Attributes:
        vocabulary: Logits per position.
        hidden: Width of the residual stream.
        intermediate: Width of an MLP.
        layers: Number of layers.
        heads: Attention heads.
        width: Query size per token, over all heads.
        keys: Key size per token and layer, over all heads; values have the same.
        copies: Copies of the logits at one time: scaling or capping behind the head makes more.
        logit_itemsize: Bytes of a logit, where they are more than those of the model's dtype.
    """

    vocabulary: int
    hidden: int = 0
    intermediate: int = 0
    layers: int = 0
    heads: int = 0
    width: int = 0
    keys: int = 0
    copies: int = 1
    logit_itemsize: int = 1

    @classmethod
    def of(cls, config: Any, vocabulary: int) -> ModelShape:
        """Reads a configuration, an object or a mapping; missing sizes are derived from others.

        Without a configuration only logits are counted.
        """
        inner = field_of(config, "text_config") or config
        hidden = int(_first(inner, "hidden_size", "n_embd", "d_model") or 0)
        heads = int(_first(inner, "num_attention_heads", "n_head", "num_heads") or 1)
        width = int(_first(inner, "head_dim") or hidden // heads)
        # Each token of a mixture of experts goes through several of them.
        experts = int(_first(inner, "num_experts_per_tok", "num_experts_per_token") or 1)
        names = ("moe_intermediate_size",) if experts > 1 else ()
        rescaled = any(field_of(inner, name) is not None for name in _RESCALED)
        exact = field_of(inner, _CAPPED_IN_FLOAT32) is not None
        return cls(
            vocabulary,
            hidden,
            int(_first(inner, *names, "intermediate_size", "n_inner", "ffn_dim") or 4 * hidden) * experts,
            int(_first(inner, "num_hidden_layers", "n_layer") or 0),
            heads,
            heads * width,
            int(_first(inner, "num_key_value_heads") or heads) * width,
            copies=3 if exact else 2 if rescaled else 1,
            logit_itemsize=4 if exact else 1,
        )

    @property
    def attention_tokens(self) -> int:
        """Context length at which attention costs a token about as much as everything else.

        Weight products grow with the square of the hidden size, attention linearly; the factor was measured.
        """
        return max(512, int(2.7 * self.hidden))

    def pass_bytes(self, tokens: int, seen: int, positions: int, itemsize: int, masked: bool) -> int:
        """Peak bytes of one forward pass, without KV caches.

        Args:
            tokens: Tokens in it, padding included.
            seen: Number of entries of its attention matrix, over all rows.
            positions: Positions that have logits at one time.
            itemsize: Bytes per element of the model's dtype.
            masked: Whether an explicit mask is passed.
        """
        states = tokens * (itemsize * (_HIDDEN * self.hidden + _INTERMEDIATE * self.intermediate))
        states += tokens * 4 * _HIDDEN_FLOAT32 * self.hidden
        # Booleans and distances, from which the additive mask is made.
        mask = seen * (itemsize + 11) if masked else 0
        # Beside the logits live the hidden states of all tokens, and a copy of the selected ones.
        logits = self.copies * logit_bytes(positions, self.vocabulary, max(itemsize, self.logit_itemsize))
        return max(states, logits + 2 * tokens * self.hidden * itemsize) + mask

    def weight_bytes(self, seen: int, itemsize: int) -> int:
        """Bytes of one layer's materialised attention weights and their float32 softmax."""
        return seen * self.heads * (2 * itemsize + 4)

    def cache_bytes(self, tokens: int, itemsize: int) -> int:
        """Bytes of the KV cache of all layers for some tokens."""
        return 2 * self.layers * self.keys * tokens * itemsize


def logit_bytes(positions: int, vocabulary: int, itemsize: int = 4) -> int:
    """Peak memory of the logits of one forward pass.

    Args:
        positions: Scored positions in the pass.
        vocabulary: Size of the vocabulary.
        itemsize: Bytes per element of the model's dtype.

    Returns:
        Bytes of the logits in the model's dtype; log-probabilities are computed a few rows at a time.
    """
    return positions * vocabulary * itemsize


def scoring_bytes(
    plan: BatchPlan, shape: ModelShape, itemsize: int = 4, *, eager: bool = False, verify: bool = False
) -> int:
    """Peak memory of answering a plan, beside the weights.

    Args:
        plan: The passes.
        shape: The model's sizes.
        itemsize: Bytes per element of the model's dtype.
        eager: Whether attention materialises its weights.
        verify: Whether drafts of generated answers are verified.
    """
    most = 0
    kept: Mapping[int, int] = {}
    for index, batch in enumerate(plan.likelihoods):
        rows, length = batch.tokens.shape
        past = plan.past_tokens(index)
        width = past + length
        # The KV caches of earlier passes, this pass's own, and one layer's repeated heads.
        cached = sum(kept.values()) + (rows * width if past or batch.shared else 0)
        seen = rows * length * width
        heads = 4 * rows * width * shape.width * itemsize + (shape.weight_bytes(seen, itemsize) if eager else 0)
        masked = batch.ends is not None or past > 0 or eager
        bytes_ = shape.pass_bytes(rows * length, seen, plan.logits(batch), itemsize, masked)
        most = max(most, bytes_ + shape.cache_bytes(cached, itemsize) + heads)
        kept = {place: tokens for place, tokens in kept.items() if plan.needed_after(place, index)}
        if batch.shared:
            kept = {**kept, index: width}
    plainly = list(plan.prompts)
    if verify:
        drafted = [batch for batch in plainly if not batch.prompts[0].options]
        most = max([most, *(_drafted_bytes(plan.limits, b, shape, itemsize, eager=eager) for b in rejoined(drafted))])
        # A row whose choice rounding might change is generated again, alone.
        plainly = [PromptBatch(batch.prompts[:1], (0,)) if batch in drafted else batch for batch in plainly]
    generating = [_generation_bytes(plan, batch, shape, itemsize, eager=eager) for batch in plainly]
    return max([most, *generating]) + _SCRATCH


def _generation_bytes(plan: BatchPlan, batch: PromptBatch, shape: ModelShape, itemsize: int, *, eager: bool) -> int:
    rows, longest = len(batch.prompts), max(len(prompt.tokens) for prompt in batch.prompts)
    whole = rows * (longest + batch.prompts[0].max_new)
    seen = rows * longest * longest
    prefill = shape.pass_bytes(rows * longest, seen, plan.prompt_logits(batch), itemsize, True)
    prefill += shape.weight_bytes(seen, itemsize) if eager else 0
    # Appending a token to the cache copies one layer of it.
    return prefill + shape.cache_bytes(whole, itemsize) * (shape.layers + 1) // max(shape.layers, 1)


def _drafted_bytes(limits: Limits, batch: PromptBatch, shape: ModelShape, itemsize: int, *, eager: bool) -> int:
    limit, longest = batch.prompts[0].max_new, max(len(prompt.tokens) for prompt in batch.prompts)
    rows, capacity = room(limits, longest, limit, len(batch.prompts))
    own = longest - batch.shared
    # A prompt that is longer than a pass may be, and the shared beginning, have passes of their own.
    tokens = max(longest, min(limits.pass_tokens, rows * (own + most_drafted(limit))))
    positions = tokens if limits.logits == "all" else min(limits.positions, rows * (1 + most_drafted(limit)))
    states = shape.pass_bytes(tokens, tokens * capacity, positions, itemsize, masked=True)
    # Masks are made for a whole pass; that of one row is repeated for heads that share keys.
    widest = min(tokens, longest + most_drafted(limit)) * capacity
    repeated = widest * itemsize * (shape.width // max(shape.keys, 1))
    weights = shape.weight_bytes(widest, itemsize) if eager else 0
    return states + repeated + weights + shape.cache_bytes((rows + (batch.shared > 0)) * capacity, itemsize)


def _first(config: Any, *names: str) -> Any:
    values = (field_of(config, name) for name in names)
    return next((value for value in values if isinstance(value, int)), None)
