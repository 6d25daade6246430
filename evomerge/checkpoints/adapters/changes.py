"""Changes of all tensors of a base by an adapter, from its configuration and its header."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from evomerge.checkpoints.adapters.change import Change, Factors
from evomerge.checkpoints.adapters.config import REMEDY
from evomerge.checkpoints.adapters.files import WEIGHTS, AdapterFiles
from evomerge.checkpoints.adapters.names import BaseNames, without_peft
from evomerge.checkpoints.adapters.orientation import Orientation
from evomerge.checkpoints.heads import is_embedding, is_head
from evomerge.checkpoints.source import CheckpointSource
from evomerge.errors import InputError

_PART = re.compile(
    r"^(?P<module>.+)\.(?P<part>lora_A|lora_B|lora_embedding_A|lora_embedding_B|lora_magnitude_vector)"
    r"(?:\.(?P<adapter>[^.]+))??(?:\.(?P<leaf>weight|bias))?$"
)
_TOKENS = re.compile(r"^(?P<module>.+)\.token_adapter\.trainable_tokens_delta(?:\.(?P<adapter>[^.]+))?$")
_WRAPPED = re.compile(r"\.(?:modules_to_save(?:\.[^.]+(?=\.))?|token_adapter\.base_layer|base_layer)(?=\.)")
_PARTNER = {
    "lora_A": "lora_B", "lora_B": "lora_A", "lora_embedding_A": "lora_embedding_B",
    "lora_embedding_B": "lora_embedding_A",
}  # fmt: skip
_BASE_LAYER = ".base_layer."  # the base's own weights, which PEFT saves along where embeddings are adapted
_SHOWN = 4


def changes(files: AdapterFiles, base: CheckpointSource) -> dict[str, Change]:
    """Works out what an adapter changes.

    Args:
        files: The adapter's files.
        base: The base's tensors.

    Returns:
        Name on disk to change, of the tensors that are changed.

    Raises:
        InputError: If a tensor has no place in the base or does not fit it; all problems, the first few of each kind.
    """
    return _Reading(files, base).changes()


@dataclass
class _Reading:
    """One adapter, read against one base."""

    files: AdapterFiles
    base: CheckpointSource
    found: dict[str, Change] = field(default_factory=dict)
    problems: dict[str, list[str]] = field(default_factory=dict)

    def changes(self) -> dict[str, Change]:
        self.names = BaseNames(self.base)
        self.orientation = Orientation(self.base, self.files.config.transposed)
        modules, tokens, others = self._sorted()
        for name, key in others:
            self._replace(name, key)
        for module, parts in modules.items():
            self._add(module, parts)
        for module, key in tokens:
            self._rows(module, key)
        self._check_ties([name for name, key in others if _BASE_LAYER not in key])
        if self.problems:
            raise InputError([problem for kind in self.problems.values() for problem in _first(kind)])
        return self.found

    def _sorted(self) -> tuple[dict[str, dict[str, str]], list[tuple[str, str]], list[tuple[str, str]]]:
        """Parts of low-rank products by module, trained rows by module, and tensors that replace the base's."""
        modules: dict[str, dict[str, str]] = {}
        tokens: list[tuple[str, str]] = []
        others: list[tuple[str, str]] = []
        adapters = set()
        for key in self.files.specs:
            name = without_peft(key)
            if part := _PART.match(name):
                modules.setdefault(part["module"], {})[_part(part)] = key
                adapters.add(part["adapter"])
            elif rows := _TOKENS.match(name):
                tokens.append((rows["module"], key))
            elif ".lora_" in name:
                self._problem("unknown", f"what tensor {key!r} is for is not known here; its adapter is no plain LoRA")
            else:
                others.append((_WRAPPED.sub("", name), key))
        if len(adapters) > 1:
            named = ", ".join(sorted(str(name) for name in adapters))
            self._problem("several", f"it holds several adapters ({named}); save each to a folder of its own")
        return modules, tokens, others

    def _replace(self, name: str, key: str) -> None:
        target = self._target(name, key)
        if target is None:
            return
        ours, theirs = self.files.specs[key].shape, self.base.specs[target].shape
        if ours != theirs:
            more = ours[:1] != theirs[:1] and ours[1:] == theirs[1:]
            remedy = ". It was trained with more or fewer tokens than the base has: resize the base's embeddings first"
            self._misfit(f"tensor {key!r} has shape {list(ours)}, the base's {list(theirs)}{remedy if more else ''}")
        elif (other := self.found.get(target)) and other.replaced != key and not self._same(key, str(other.replaced)):
            self._problem(
                "tied",
                f"tensors {other.replaced!r} and {key!r} differ, and both are {target!r} in the base, which ties its "
                "output embeddings to its input embeddings; untie them in the base first",
            )
        else:
            self.found[target] = replace(self.found.get(target, Change()), replaced=key)

    def _check_ties(self, replaced: list[str]) -> None:
        """Refuses embeddings that were trained as whole tensors, one of the two that are one tensor in the base."""
        trained = [(name, self.names.of(name)) for name in replaced]
        for target in self.names.tied_embeddings:
            named = [name for name, targets in trained if list(targets) == [target]]
            both = any(map(is_head, named)) and not all(map(is_head, named))
            if named and not both and not self.files.config.tied:
                other = "input" if is_head(named[0]) else "output"
                self._problem(
                    "tied",
                    f"it trained {named[0]!r} as a whole (modules_to_save) and left the {other} embeddings as they "
                    f"were, but both are {target!r} in the base; untie them in the base first: save it with a copy of "
                    "the embeddings as output embeddings, and tie_word_embeddings false",
                )

    def _same(self, one: str, other: str) -> bool:
        return bool(self.files.tensor(one).equal(self.files.tensor(other)))

    def _add(self, module: str, parts: Mapping[str, str]) -> None:
        prefix = "lora_embedding_" if "lora_embedding_A" in parts or "lora_embedding_B" in parts else "lora_"
        alone = [part for part in parts if _PARTNER.get(part, part) not in parts]
        if alone or f"{prefix}A" not in parts:
            key = parts[(alone or list(parts))[0]]
            self._problem("alone", f"tensor {key!r} stands alone; lora_A and lora_B belong together")
            return
        if self._stacked(module):
            return
        target = self._target(f"{module}.weight", parts[f"{prefix}A"])
        if target is None:
            return
        factors = self._factors(module, parts, prefix, target)
        if factors is None:
            return
        if self.found.get(target, Change()).factors is not None:
            self._problem("tied", f"two of its modules are {target!r} in the base; one is {module!r}")
            return
        self.found[target] = replace(self.found.get(target, Change()), factors=factors)
        if "bias" in parts:
            self._shift(module, parts["bias"], factors.scale)

    def _stacked(self, module: str) -> bool:
        """Whether a module's parameters are stacked experts, after saying that these are not merged."""
        plain = module.replace(".base_layer", "")
        own = [name for name in self.files.config.parameters if f"{plain}.".endswith(f"{name.rpartition('.')[0]}.")]
        if not own or (module == plain and self.names.of(f"{module}.weight")):
            return False
        named = ", ".join(own)
        self._problem("stacked", f"it adapts the parameters {named} of {plain!r}, which are stacked experts; {REMEDY}")
        return True

    def _factors(self, module: str, parts: Mapping[str, str], prefix: str, target: str) -> Factors | None:
        config, specs = self.files.config, self.files.specs
        inner, outer = (parts[f"{prefix}{letter}"] for letter in "AB")
        (first, shape, second) = specs[inner].shape, self.base.specs[target].shape, specs[outer].shape
        if len(first) != 2 or len(second) != 2 or len(shape) != 2:
            self._problem(
                "dimensions",
                f"module {module!r} is no matrix in the base or in the adapter ({list(shape)}, {list(first)}, "
                f"{list(second)}), so it is a convolution or the like; {REMEDY}",
            )
            return None
        rank = config.rank_of(module)
        if first[0] != rank or second[1] != rank:
            self._misfit(
                f"module {module!r} has factors of shape {list(first)} and {list(second)}, but {config.path.name} says "
                f"rank {rank}"
            )
            return None
        outputs, inputs = second[0], first[1]
        embedding = prefix == "lora_embedding_"
        if {(outputs, inputs), (inputs, outputs)}.isdisjoint({shape}):
            self._misfit(
                f"module {module!r} goes from {inputs} to {outputs} features, but {target!r} has shape {list(shape)}"
            )
            return None
        transposed = embedding or self.orientation.transposed(target, outputs, inputs)
        if embedding and shape != (inputs, outputs):
            self._misfit(f"module {module!r} embeds {inputs} tokens, but {target!r} has shape {list(shape)}")
            return None
        magnitude = parts.get("lora_magnitude_vector")
        if config.dora != (magnitude is not None) or (magnitude and specs[magnitude].numel != outputs):
            self._misfit(
                f"module {module!r} should have a magnitude vector of {outputs} numbers where {config.path.name} has "
                "use_dora true, and none where it is false"
            )
            return None
        left, right = (inner, outer) if transposed else (outer, inner)
        return Factors(left, right, transposed, config.scale_of(module), magnitude, outputs=int(transposed))

    def _shift(self, module: str, key: str, scale: float) -> None:
        target = self._target(f"{module}.bias", key)
        if target is None:
            return
        if self.files.specs[key].shape != self.base.specs[target].shape:
            self._misfit(f"tensor {key!r} has another shape than {target!r} in the base")
            return
        self.found[target] = replace(self.found.get(target, Change()), shift=(key, scale))

    def _rows(self, module: str, key: str) -> None:
        target, tokens = self._target(f"{module}.weight", key), self.files.config.tokens
        if target is None:
            return
        named = [rows for name, rows in tokens.items() if name and (module == name or module.endswith(f".{name}"))]
        rows = named[0] if named else tokens.get("", ())
        shape, wanted = self.files.specs[key].shape, self.base.specs[target].shape
        if shape != (len(rows), *wanted[1:]) or len(wanted) != 2:
            self._misfit(
                f"tensor {key!r} has shape {list(shape)}, but trainable_token_indices names {len(rows)} rows of "
                f"{target!r}, which has shape {list(wanted)}"
            )
        elif max(rows) >= wanted[0]:
            self._misfit(f"trainable_token_indices names row {max(rows)}, but {target!r} has {wanted[0]}")
        elif (other := self.found.get(target, Change()).rows) and not self._same(key, other[0]):
            self._problem("tied", f"tensors {other[0]!r} and {key!r} differ, and both are rows of {target!r}")
        else:
            self.found[target] = replace(self.found.get(target, Change()), rows=(key, rows))

    def _target(self, name: str, key: str) -> str | None:
        """The base's tensor of a name; None after saying why there is none."""
        found = self.names.of(name)
        if len(found) == 1:
            return found[0]
        where = repr(str(self.base.path))
        if found:
            shown = ", ".join(map(repr, found[:_SHOWN]))
            self._problem("unclear", f"tensor {key!r} could be for {shown} of {where}")
        else:
            some = next((n for n in self.base.specs if is_embedding(n) is False), next(iter(self.base.specs)))
            self._problem(
                "absent",
                f"tensor {key!r} is for {name!r}, and {where} has no such tensor (it has {some!r}); was the adapter "
                "trained on another model?",
            )
        return None

    def _misfit(self, text: str) -> None:
        self._problem("misfit", f"{text}; was the adapter trained on another model than {str(self.base.path)!r}?")

    def _problem(self, kind: str, text: str) -> None:
        self.problems.setdefault(kind, []).append(f"{str(self.files.path / WEIGHTS)!r}: {text}")


def _part(found: re.Match[str]) -> str:
    """The part of a low-rank product that a tensor is; the bias of B is a part of its own."""
    return "bias" if found["leaf"] == "bias" else found["part"]


def _first(problems: list[str]) -> Iterator[str]:
    yield from problems[:_SHOWN]
    if len(problems) > _SHOWN:
        yield f"{problems[0].partition(': ')[0]}: {len(problems) - _SHOWN} more tensors are like these"
