"""The ``config.json`` of a model that is put together from layers.

Beside the number of layers, a config may say something for each layer: which attention it has, whether it rotates
positions. An output layer is what its first input was. Some configs derive such lists from the layers' numbers, which
change here, so they are read as transformers understands them and written out where they differ.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import CONFIG_MAPPING, PreTrainedConfig

from evomerge.checkpoints import CheckpointSource, parse_config
from evomerge.errors import InputError
from evomerge.recipe import Recipe

_COUNT = "num_hidden_layers"
# Lists whose length is not the number of layers, even if it happens to be the same.
_NOT_BY_LAYER = ("architectures", "pad_token_id", "bos_token_id", "eos_token_id")
# What a layer computes depends on where it stands, in a way that no list says.
_BY_PLACE = ("num_kv_shared_layers", "hybrid_layer_ids", "kv_source_layers", "scale_attn_by_inverse_layer_idx")


@dataclass(frozen=True)
class _Text:
    """The part of a config that is about the language model.

    Attributes:
        config: As transformers reads it.
        key: Its name within the whole config, or None if it is the whole.
        field: Name of the number of layers there.
    """

    config: PreTrainedConfig
    key: str | None
    field: str

    @classmethod
    def of(cls, source: CheckpointSource) -> _Text:
        """Reads a source's config.

        Raises:
            InputError: If transformers cannot read it.
        """
        return cls.read(source.config, str(source.path))

    @classmethod
    def read(cls, data: Mapping[str, Any], where: str) -> _Text:
        """Reads the content of a ``config.json``."""
        kind = data.get("model_type")
        if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
            raise InputError(f"{where} is of type {kind!r}; layers are put together for types that transformers knows")
        try:
            whole = parse_config(kind, data)
            text = whole.get_text_config()
            key = next((name for name in whole.sub_configs if getattr(whole, name, None) is text), None)
            return cls(text, key, text.attribute_map.get(_COUNT, _COUNT))
        except Exception as error:  # configs are checked by many classes, each in its own way
            raise InputError(f"{where}: transformers cannot read the config of the merged model: {error}") from error

    def lists(self) -> dict[str, list[Any]]:
        """The fields that say something for each layer."""
        count = getattr(self.config, _COUNT)
        return {
            name: list(value)
            for name, value in self.config.to_dict().items()
            if isinstance(value, list | tuple) and len(value) == count and name not in _NOT_BY_LAYER
        }


def output_config(recipe: Recipe, template: CheckpointSource, sources: Sequence[CheckpointSource]) -> dict[str, Any]:
    """The config of a recipe's model.

    Args:
        recipe: A recipe with layers of its own.
        template: Whose config it is, but for the layers.
        sources: The recipe's sources, opened.

    Raises:
        InputError: If a layer's meaning depends on its place in a way that no list in the config says, or transformers
            cannot read a config.
    """
    known = {source: _Text.of(source) for source in {*sources, template}}
    texts = [known[source] for source in sources]
    used = [layer.inputs[0] for layer in recipe.layers]
    moved = [layer for _, layer in used] != list(range(len(used)))
    for field in _BY_PLACE:
        if moved and any(getattr(text.config, field, None) for text in texts):
            raise InputError(f"config.json says {field}, so a layer cannot stand where another one stood")
    data = copy.deepcopy(dict(template.config))
    own = known[template]
    part = data if own.key is None else data[own.key]
    part[own.field] = len(recipe.layers)
    by_layer = [text.lists() for text in texts]
    wanted = {
        field: [by_layer[source][field][layer] for source, layer in used]
        for field in own.lists()
        if all(field in by_layer[source] for source, _ in used)
    }
    part |= {field: value for field, value in wanted.items() if field in part}
    derived = _Text.read(data, "the merged model").lists()
    part |= {field: value for field, value in wanted.items() if derived.get(field) != value}
    read = _Text.read(data, "the merged model").lists()
    wrong = [field for field, value in wanted.items() if read.get(field) != value]
    if wrong:
        raise InputError(f"transformers derives {', '.join(wrong)} otherwise than the layers of the recipe have it")
    return data
