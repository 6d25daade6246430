"""How much memory scoring needs beside the model's weights, from a layout and a configuration alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evomerge.fitness.inference.batches import Layout, PromptBatch
from evomerge.fitness.inference.encoding import field_of

# Hidden states alive at one time in one layer: the residual stream, its float32 norm, queries, keys, values, the sum.
_HIDDEN, _HIDDEN_FLOAT32 = 5, 2
# The gate of an MLP, its activation, the other half and their product.
_INTERMEDIATE = 4
# Fields of configurations whose models change logits behind the head; the last one's do so in float32.
_RESCALED = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier")
_CAPPED_IN_FLOAT32 = "output_logit_soft_cap"
# What matrix products and the allocator keep for themselves.
_SCRATCH = 32 * 2**20


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a causal language model that its activations follow.

    Attributes:
        vocabulary: Logits per position.
        hidden: Width of the residual stream.
        intermediate: Width of an MLP.
        layers: Number of layers.
        heads: Attention heads.
        width: Numbers that all heads' queries have per token.
        keys: Numbers that keys have per token and layer, and values again.
        copies: How often logits are there at one time: those that are scaled or capped behind the head are copied.
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
        """Reads a configuration, an object or a mapping; what it does not say counts as the usual multiple of another.

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
        """Tokens that a token sees when attention costs it about as much as all else.

        Products with weights grow with the square of the width, attention with the width; the factor was measured.
        """
        return max(512, int(2.7 * self.hidden))

    def pass_bytes(self, tokens: int, seen: int, positions: int, itemsize: int, masked: bool) -> int:
        """One forward pass without what is kept between passes.

        Args:
            tokens: Tokens in it, padding included.
            seen: Tokens that are there for each of them to see, times the number of tokens, where these are written
                down: as a mask, or as attention weights.
            positions: How many of them have logits at one time.
            itemsize: Bytes of a number of the model's dtype.
            masked: Whether there is a mask, besides.
        """
        states = tokens * (itemsize * (_HIDDEN * self.hidden + _INTERMEDIATE * self.intermediate))
        states += tokens * 4 * _HIDDEN_FLOAT32 * self.hidden
        # The mask is made of booleans and distances, and turned into numbers.
        mask = seen * (itemsize + 11) if masked else 0
        # While there are logits, there are hidden states of all tokens too, and those of the positions once more.
        logits = self.copies * logit_bytes(positions, self.vocabulary, max(itemsize, self.logit_itemsize))
        return max(states, logits + 2 * tokens * self.hidden * itemsize) + mask

    def weight_bytes(self, seen: int, itemsize: int) -> int:
        """Attention weights of one layer that are written down, and their softmax in float32."""
        return seen * self.heads * (2 * itemsize + 4)

    def cache_bytes(self, tokens: int, itemsize: int) -> int:
        """Keys and values of all layers for some tokens."""
        return 2 * self.layers * self.keys * tokens * itemsize


def logit_bytes(positions: int, vocabulary: int, itemsize: int = 4) -> int:
    """Peak memory of the logits of one forward pass.

    Args:
        positions: Scored positions in the pass.
        vocabulary: Size of the vocabulary.
        itemsize: Bytes of a number of the model's dtype.

    Returns:
        Bytes of the logits as the model gives them; log-probabilities are made of a few rows at a time.
    """
    return positions * vocabulary * itemsize


def scoring_bytes(layout: Layout, shape: ModelShape, itemsize: int = 4, *, eager: bool = False) -> int:
    """Peak memory of answering a layout, beside the weights.

    Args:
        layout: The passes.
        shape: The model's sizes.
        itemsize: Bytes of a number of the model's dtype.
        eager: Whether attention writes its weights down.
    """
    most = 0
    kept: Mapping[int, int] = {}
    for index, batch in enumerate(layout.likelihoods):
        rows, length = batch.tokens.shape
        past = layout.past_tokens(index)
        width = past + length
        # Keys and values of earlier passes, this pass's own, and one layer of repeated heads.
        cached = sum(kept.values()) + (rows * width if past or batch.shared else 0)
        seen = rows * length * width
        heads = 4 * rows * width * shape.width * itemsize + (shape.weight_bytes(seen, itemsize) if eager else 0)
        masked = batch.ends is not None or past > 0 or eager
        bytes_ = shape.pass_bytes(rows * length, seen, layout.logits(batch), itemsize, masked)
        most = max(most, bytes_ + shape.cache_bytes(cached, itemsize) + heads)
        kept = {place: tokens for place, tokens in kept.items() if layout.needed_after(place, index)}
        if batch.shared:
            kept = {**kept, index: width}
    generating = [_generation_bytes(layout, batch, shape, itemsize, eager=eager) for batch in layout.prompts]
    return max([most, *generating]) + _SCRATCH


def _generation_bytes(layout: Layout, batch: PromptBatch, shape: ModelShape, itemsize: int, *, eager: bool) -> int:
    rows, longest = len(batch.prompts), max(len(prompt.tokens) for prompt in batch.prompts)
    whole = rows * (longest + batch.prompts[0].max_new)
    seen = rows * longest * longest
    prefill = shape.pass_bytes(rows * longest, seen, layout.prompt_logits(batch), itemsize, True)
    prefill += shape.weight_bytes(seen, itemsize) if eager else 0
    # Growing keys and values by a token copies those of one layer.
    return prefill + shape.cache_bytes(whole, itemsize) * (shape.layers + 1) // max(shape.layers, 1)


def _first(config: Any, *names: str) -> Any:
    values = (field_of(config, name) for name in names)
    return next((value for value in values if isinstance(value, int)), None)
