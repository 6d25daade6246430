"""Tables that a model computes by itself: older files hold them, newer ones do not, and nothing reads them."""

from __future__ import annotations

import re

from evomerge.checkpoints.source import TensorSpec

_TABLE = re.compile(r"(?:inv_freq|masked_bias|position_ids|causal_mask|(?:cos|sin)_cached)$")
# A causal mask, which older files of GPT-2, GPT-Neo and GPT-NeoX hold as bytes. A bias that is added has one dimension.
_MASK = re.compile(r"\.attn\.bias$|\.attention\.bias$")
_MASK_DIMENSIONS = 4


def is_computed(name: str, spec: TensorSpec) -> bool:
    """Whether a tensor is a table that the model computes by itself and no file needs to hold.

    Args:
        name: Its name on disk.
        spec: Its type and shape.
    """
    return bool(_TABLE.search(name) or (_MASK.search(name) and len(spec.shape) == _MASK_DIMENSIONS))
