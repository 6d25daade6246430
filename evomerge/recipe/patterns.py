"""The patterns of a checkpoint: the default ones, and before them those of modules that only some models have.

A recipe's patterns are part of its digest, so they are added only where the checkpoint has such tensors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from evomerge.recipe.groups import DEFAULT_PATTERNS

# What sees, hears or speaks beside the language model, with the projectors between.
_TOWER = (
    "tower",
    DEFAULT_PATTERNS[0][1] + r"|(?:^|\.)(?:talker|token2wav|code2wav|vqmodel|aligner|qformer|perceiver)(?:\.|$)",
)
# What sends a token to its experts: few weights that many depend on, in one piece with the experts they were trained
# with. The corrections of load balancing are among them.
_ROUTER = (
    "router",
    r"(?:^|\.)(?:router|shared_expert_gate)(?:\.|_|$)|(?:^|[._])(?:moe|mlp|feed_forward|ffn|mixer)\.gate(?:\.|$)"
    r"|(?:e_score_correction|expert)_bias$|per_expert_scale$",
)
_EXPERTS = re.compile(r"(?:^|[._])(?:experts?|moe)(?:[._]|$)")


def patterns_of(names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The patterns that sort a checkpoint's tensors into module kinds.

    Args:
        names: All its tensors.

    Returns:
        :data:`~evomerge.recipe.groups.DEFAULT_PATTERNS`, preceded by those for towers and routers where it has some.
    """
    names = list(names)
    own = [_TOWER] if any(re.search(_TOWER[1], name) for name in names) else []
    sent = any(_EXPERTS.search(name) for name in names) and any(re.search(_ROUTER[1], name) for name in names)
    return (*own, *([_ROUTER] if sent else []), *DEFAULT_PATTERNS)
