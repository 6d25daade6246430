"""The layouts that are compared: how the weights of task arithmetic may differ over a model."""

from __future__ import annotations

from collections.abc import Mapping

# Embeddings, the last norm and the head go with the nearest layers, so that the numbers of genes differ by the layout
# alone; but in the finest, where they have weights of their own.
_NEAREST = ("genome.own_groups=[]", "genome.ends=nearest")
LAYOUTS: Mapping[str, tuple[str, ...]] = {
    "global": ("genome=model", *_NEAREST),
    "linear": ("genome=linear", *_NEAREST),
    "blocks": ("genome=blocks", "genome.block_size=2", *_NEAREST),
    "smooth": ("genome=smooth", "genome.control_points=4", *_NEAREST),
    "kinds": ("genome=model", "genome.split_kinds=true", *_NEAREST),
    "layer": ("genome=layer",),
}
ABOUT: Mapping[str, str] = {
    "global": "one weight per expert",
    "linear": "a straight line over depth per expert",
    "blocks": "one weight per expert and two layers",
    "smooth": "a curve of four control values over depth per expert",
    "kinds": "one weight per expert and module kind (attention, MLP, norms, embeddings, head)",
    "layer": "one weight per expert and layer, and for embeddings, last norm and head",
}
