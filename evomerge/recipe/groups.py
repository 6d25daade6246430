"""Which coefficients a tensor gets, decided by its name alone.

No table of architectures: a tensor's layer and module kind come from patterns over its name, and groups are described
by layers and kinds. A new architecture needs at most a new pattern, which the error for an unknown name shows.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from evomerge.errors import InputError, suggest
from evomerge.texts import may_never_end

MODULE_KINDS = ("attention", "mlp", "norm", "embedding", "head", "other", "router", "tower")

# What sees or hears before the language model: a module of its own, with layers of its own, whose norms are not the
# language model's norms.
_TOWERS = r"vision|visual|image|audio|speech|mm_projector|multi_modal_projector|connector|resampler"

# First match wins. Norms come early because their names often hold the name of the module they belong to
# ("self_attn_layer_norm", "word_embeddings_layernorm"); heads before embeddings because of "embed_out".
DEFAULT_PATTERNS: tuple[tuple[str, str], ...] = (
    ("other", _TOWERS),
    ("norm", r"[nN]orm|(?:^|\.)(?:pre_)?ln(?:_?\w+)?\."),
    ("head", r"(?:^|\.)(?:lm_head|embed_out|output_projection|score|pred_layer|cls)(?:\.|$)|^head\.|^decoder\.bias$"),
    ("other", r"rotary|inv_freq|masked_bias|project_in|project_out|residual$|_init$|(?:^|\.)hc_head\."),
    ("embedding", r"embed|(?:^|\.)w(?:[tp]e)?\."),
    ("attention", r"attn|attention|mixer|mamba|ssm|(?:^|\.)(?:time_mix|conv|temporal_block)\."),
    (
        "mlp",
        r"mlp|feed_forward|ffn|moe|expert|router|(?:^|\.)(?:fc\d?|gate|channel_mix|intermediate)\."
        r"|(?:^|\.)(?:up_proj|down_proj|gate_proj|output\.dense)\.",
    ),
)
# Names of less usual models, tried where none of a recipe's patterns matches. They stand in no recipe, so recipes from
# before a name was known keep their digests; what stands here keeps its kind, and more may only come after it.
RARE_PATTERNS: tuple[tuple[str, str], ...] = (
    ("attention", r"Attention|(?:^|\.)mlstm_layer\.|_self_att\."),
    ("mlp", r"DenseReluDense|(?:^|\.)ff\.|adapter_modules"),
    ("embedding", r"(?:^|\.)(?:shared|mask_emb|segment_emb|pos_emb)(?:\.|$)"),
    (
        "head",
        r"(?:^|\.)(?:\w*classifier|\w*predictions|\w+_head|qa_outputs|final_logits_bias|vocab_transform|vocab_projector"
        r"|proj_out|logits_proj|logits_dense|lm_loss|sequence_summary)(?:\.|$)"
        r"|^(?:output|decoder|dense)\.(?:weight|bias)$",
    ),
    (
        "other",
        r"(?:^|\.)(?:pooler|conv\w*|linear\w*|projector|aligner|qformer|query_tokens|language_projection|bottleneck"
        r"|altup\w*|laurel|per_layer_\w+|layer_scalar|adapter)(?:\.|$)",
    ),
)
DEFAULT_LAYER_PATTERN = rf"^(?!.*(?:{_TOWERS}))(?:.*?\.)?(?:layers|h|blocks|block|layer)\.(\d+)\."


class UnknownTensorName(InputError):
    """A tensor whose name no pattern or group knows."""


@dataclass(frozen=True)
class Place:
    """Place of a tensor in the model.

    Attributes:
        layer: Zero-based layer index, or None outside the layers.
        kind: One of :data:`MODULE_KINDS`.
    """

    layer: int | None
    kind: str


@dataclass(frozen=True)
class Group:
    """A set of tensors that share their coefficients.

    Attributes:
        label: Name shown to people, unique within the recipe.
        kinds: Module kinds it takes; empty takes all.
        layers: Half-open range of layers it takes; None takes any place, inside or outside the layers.
        filters: Parts of tensor names, one of which must occur in a name that it takes; empty takes all.
        frozen: Whether its tensors are copied from the reference checkpoint unmerged.
    """

    label: str
    kinds: tuple[str, ...] = ()
    layers: tuple[int, int] | None = None
    frozen: bool = False
    filters: tuple[str, ...] = ()

    def takes(self, place: Place, name: str = "") -> bool:
        """Whether a tensor at ``place`` belongs here; its name counts where the group has filters."""
        if self.kinds and place.kind not in self.kinds:
            return False
        if self.filters and not any(part in name for part in self.filters):
            return False
        if self.layers is None:
            return True
        return place.layer is not None and self.layers[0] <= place.layer < self.layers[1]

    def to_json(self) -> dict[str, Any]:
        """All fields as a JSON object, filters where there are any."""
        layers = list(self.layers) if self.layers else None
        data = {"label": self.label, "kinds": list(self.kinds), "layers": layers, "frozen": self.frozen}
        return data | ({"filters": list(self.filters)} if self.filters else {})


@dataclass(frozen=True)
class ParameterGroups:
    """The groups of a recipe, and the patterns that sort tensors into them.

    Attributes:
        groups: Tried in order; the first that takes a tensor's place has it.
        patterns: ``(module kind, regular expression)`` pairs searched in the tensor's name, first match wins; those of
            :data:`RARE_PATTERNS` come after them.
        layer_pattern: Regular expression whose first group is the layer index.
    """

    groups: tuple[Group, ...]
    patterns: tuple[tuple[str, str], ...] = field(default=DEFAULT_PATTERNS)
    layer_pattern: str = DEFAULT_LAYER_PATTERN

    def __post_init__(self) -> None:
        """Refuses unknown kinds, broken patterns, labels used twice and ranges without a layer."""
        named = [("a pattern", kind) for kind, _ in self.patterns]
        named += [(f"group {group.label!r}", kind) for group in self.groups for kind in group.kinds]
        problems = [
            f"unknown module kind {kind!r} in {where}; known are {', '.join(MODULE_KINDS)}{suggest(kind, MODULE_KINDS)}"
            for where, kind in named
            if kind not in MODULE_KINDS
        ]
        problems += [f"group {group.label!r} has an empty filter" for group in self.groups if "" in group.filters]
        problems += [
            f"group {group.label!r} takes layers {list(group.layers)}; expected [first, end], the end being the layer "
            "after the last"
            for group in self.groups
            if group.layers is not None and not 0 <= group.layers[0] < group.layers[1]
        ]
        for pattern in (*(p for _, p in self.patterns), self.layer_pattern):
            try:
                groups = re.compile(pattern).groups
            except (re.error, RecursionError, OverflowError) as error:
                problems.append(f"pattern {pattern!r} is not a regular expression: {error}")
                continue
            if may_never_end(pattern):
                problems.append(f"pattern {pattern!r} repeats a repetition, so that matching it may never end")
            if pattern == self.layer_pattern and not groups:
                problems.append(
                    f"layer_pattern {pattern!r} has no group for the layer's number; write for example "
                    f"{DEFAULT_LAYER_PATTERN!r}"
                )
        labels = [group.label for group in self.groups]
        problems += [f"two groups are called {label!r}" for label in sorted({x for x in labels if labels.count(x) > 1})]
        if problems:
            raise InputError(problems)

    def place(self, name: str) -> Place:
        """Finds a tensor's layer and module kind.

        Raises:
            UnknownTensorName: If no pattern matches; the message shows the pattern to add.
        """
        return _place(name, self.patterns, self.layer_pattern)

    def index(self, name: str) -> int:
        """The row of the coefficients that a tensor gets.

        Raises:
            UnknownTensorName: If no pattern matches the name or no group takes its place.
        """
        place = self.place(name)
        for row, group in enumerate(self.groups):
            if group.takes(place, name):
                return row
        raise UnknownTensorName(f"tensor {name!r} (layer {place.layer}, kind {place.kind}) belongs to no group")

    def to_json(self) -> dict[str, Any]:
        """All fields as a JSON object."""
        return {
            "groups": [group.to_json() for group in self.groups],
            "patterns": [list(pair) for pair in self.patterns],
            "layer_pattern": self.layer_pattern,
        }


@functools.lru_cache(maxsize=65536)
def _place(name: str, patterns: tuple[tuple[str, str], ...], layer_pattern: str) -> Place:
    known = (*patterns, *RARE_PATTERNS)
    kind = next((kind for kind, pattern in known if re.search(pattern, name)), None)
    if kind is None:
        raise UnknownTensorName(
            f"tensor {name!r} matches no pattern, so its module kind is unknown; add one, for example "
            f"patterns=[[other, {re.escape(name)!r}]] with a kind of {', '.join(MODULE_KINDS)}"
        )
    return Place(layer_of(name, layer_pattern), kind)


@functools.lru_cache(maxsize=65536)
def layer_of(name: str, layer_pattern: str) -> int | None:
    """The layer that a tensor's name holds, or None outside the layers.

    Raises:
        InputError: If the pattern finds something else than a number.
    """
    found = re.search(layer_pattern, name)
    if found and not re.fullmatch("[0-9]+", found.group(1) or ""):
        raise InputError(
            f"layer_pattern {layer_pattern!r} finds {found.group(1)!r} in tensor {name!r}; expected a whole number"
        )
    return int(found.group(1)) if found else None


def count_layers(names: Iterable[str], layer_pattern: str) -> int:
    """Number of layers that the names of a model's tensors show."""
    return 1 + max((layer for name in names if (layer := layer_of(name, layer_pattern)) is not None), default=-1)
