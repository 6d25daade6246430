"""Changes of recipes: ours in JSON, and those of mergekit in YAML."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import yaml

from experiments.fuzz.mutators import values

_PREFER = (
    "method", "options", "sources", "base", "groups", "coefficients", "layers", "inputs", "weight", "density",
    "label",
    "kinds", "patterns", "layer_pattern", "recipe", "dtype", "out_dtype", "seed", "format", "filters", "ends",
    "unmatched",
    "adapter", "on", "tokenizer", "embeddings", "chat_template",
)  # fmt: skip
_FIELDS: dict[str, tuple[Any, ...]] = {
    "format": (0, 1, 3, "2", None, True, 2.0, []),
    "method": ("", "os", "../linear", "_shared", "__init__", "linear\0", 3, None, ["linear"], "TIES", "x" * 10_000),
    "dtype": ("float64", "load", "float8_e4m3fn", 3, None, "__class__"),
    "out_dtype": ("int8", "float16", "bfloat16", "x", 3),
    "seed": (-1, 2**64, 10**30, "x", 1.5, None, True),
    "base": ("base", "no_such", "../../etc", "/etc", "/", "~root", "", "secret", {"recipe": None},
    {"adapter": "adapter", "on": "A"}, 3),
    "options": ({"normalise": "x"}, {"no_such": 1}, [], {"normalise": []}, {"": None},
    {"normalise": values.nested(900, 1)}),
    "tokenizer": ("union", {"source": "A"}, {"source": "/etc"}, {"source": 99}, {"tokens": {"x": 1}}, 3,
    {"pad_to_multiple_of": -1},
                  {"pad_to_multiple_of": 10**12}, {"tokens": {"<eos>": {"source": "no_such"}}}),
    "embeddings": ("base", "x", 3, None, {}),
    "chat_template": ("chatml", "auto", "{{ 1/0 }}", "x" * 100_000, 3, 99, [], "/etc/passwd", "../secret/x"),
    "post": ([{"name": "x"}], 3, [3]),
    "statistics": (["/etc/passwd"], 3),
    "layers": ([], [{}], [{"inputs": []}], [{"inputs": [[0, 10**9]]}], [{"inputs": [[0, -1]]}], [{"inputs": [[9,
    0]]}],
               [{"inputs": [[0, 0], [1, 0]], "row": 7}], [{"inputs": [[0, 0], [1, 0]]}] * 2000, [{"inputs": [[0, 0]],
               "scale": 1e400}]),
    "unmatched": ("keep", "drop", "refuse", 3, {"x": "y"}, "no_such"),
    "ends": ([0, 1], [9, 9], {}, "x", [0], {"before": 0, "after": 99}),
}  # fmt: skip
_PATTERNS = (
    "(",
    "(a+)+$",
    "(?P<x",
    "[",
    "",
    ".*",
    "\\",
    "(x" * 200,
    "(?i:(?i:a))",
    "(\\d+)(\\d+)",
    "layers\\.(\\d+)\\.",
    "(.*)*x",
)


def mutate_json(rng: Random, path: Path) -> str:
    """Changes a recipe of ours."""
    kind = rng.choice(("field", "field", "tree", "tree", "text", "file", "patterns", "numbers", "deep", "source"))
    if kind == "text":
        return values.change_text(rng, path)
    if kind == "file":
        return values.change_file(rng, path)
    if kind == "tree":
        return values.change_json(rng, path, _PREFER)
    data = json.loads(path.read_text(encoding="utf-8"))
    done = _KINDS[kind](rng, data)
    values.write(path, data)
    return done


def _field(rng: Random, data: dict[str, Any]) -> str:
    name = rng.choice(sorted(_FIELDS))
    data[name] = rng.choice(_FIELDS[name])
    return f"{name} is {ascii(data[name])[:60]}"


def _patterns(rng: Random, data: dict[str, Any]) -> str:
    pattern = rng.choice(_PATTERNS)
    if rng.random() < 0.5:
        data["groups"]["layer_pattern"] = pattern
    else:
        data["groups"]["patterns"] = [["attention", pattern]]
    return f"a pattern is {pattern[:40]!r}"


def _numbers(rng: Random, data: dict[str, Any]) -> str:
    name = rng.choice(sorted(data["coefficients"]))
    odd = rng.choice(
        (float("nan"), float("inf"), 1e308, -1e308, 10**400, -1, 1e-320, "0.5", None, True, [0.5], {}, 1e30, 3.4e38)
    )
    data["coefficients"][name] = rng.choice(([[odd, 0.5]], [[odd]], [odd], odd, [[odd, odd]], [[0.5, 0.5], [odd, 0.5]]))
    return f"{name} is {ascii(data['coefficients'][name])[:60]}"


def _deep(rng: Random, data: dict[str, Any]) -> str:
    """A recipe inside a recipe inside a recipe."""
    depth = rng.choice((1, 3, 30, 100))
    inner = json.loads(json.dumps(data))
    for _ in range(depth):
        inner = {**json.loads(json.dumps({**data, "sources": []})), "sources": [{"recipe": inner}, "A"]}
    data |= inner
    return f"{depth} recipes inside each other"


def _source(rng: Random, data: dict[str, Any]) -> str:
    odd = (
        "no_such", "", "/", "/etc", "../../etc/passwd", "A\0", "~nobody/x", "A/../A", "./A", "A/config.json",
        "x" * 5000, "org/name",
        "secret", "tasks", "pipe", {"source": "A", "revision": "../x"}, {"source": "A", "revision": 3},
        {"checkpoint": "A"}, {},
        {"source": "A", "fingerprint": "0" * 64}, {"source": "A", "hub_id": "</script>"}, {"source": ["A"]},
        "example:../../x", 3,
        "example:base", {"adapter": "adapter", "on": "A"}, {"adapter": "A", "on": "A"}, {"adapter": "adapter",
        "on": {"recipe": {}}},
        {"recipe": {"method": "linear"}}, "A\nB", "\ud800", None, [], "A</script>",
    )  # fmt: skip
    which = rng.randrange(len(data["sources"]))
    data["sources"][which] = rng.choice(odd)
    return f"a source is {ascii(data['sources'][which])[:60]}"


_KINDS: dict[str, Callable[[Random, dict[str, Any]], str]] = {
    "field": _field,
    "patterns": _patterns,
    "numbers": _numbers,
    "deep": _deep,
    "source": _source,
}

YAML: dict[str, str] = {
    "models": """\
merge_method: ties
base_model: base
models:
  - model: A
    parameters: {weight: 0.5, density: 0.6}
  - model: B
    parameters:
      weight: [0.2, 0.8]
      density:
        - {filter: mlp, value: 0.5}
        - value: 0.7
parameters: {normalize: true, int8_mask: true}
dtype: float32
""",
    "slices": """\
merge_method: slerp
base_model: A
slices:
  - sources:
      - {model: A, layer_range: [0, 2]}
      - {model: B, layer_range: [0, 2]}
parameters:
  t:
    - {filter: self_attn, value: [0, 0.5, 1]}
    - {filter: mlp, value: [1, 0.5, 0]}
    - value: 0.5
dtype: float32
out_dtype: bfloat16
""",
    "stacked": """\
merge_method: passthrough
slices:
  - sources: [{model: A, layer_range: [0, 2]}]
  - sources: [{model: B, layer_range: [1, 2]}]
dtype: bfloat16
""",
    "tokenizer": """\
merge_method: linear
models:
  - {model: A, parameters: {weight: 1}}
  - {model: B, parameters: {weight: 2}}
tokenizer_source: union
chat_template: auto
dtype: float32
""",
    "tokenizer block": """\
merge_method: linear
models:
  - {model: A, parameters: {weight: 1}}
  - {model: B, parameters: {weight: 2}}
tokenizer:
  source: union
  pad_to_multiple_of: 8
  tokens:
    <eos>: {source: A, force: true}
dtype: float32
""",
    "stages": """\
name: first
merge_method: linear
models:
  - {model: A, parameters: {weight: 1}}
  - {model: B, parameters: {weight: 1}}
dtype: float32
---
name: second
merge_method: task_arithmetic
base_model: base
models:
  - {model: first, parameters: {weight: 0.4}}
  - {model: B, parameters: {weight: 0.3}}
dtype: float32
""",
    "modules": """\
merge_method: linear
modules:
  default:
    slices:
      - sources:
          - {model: A, layer_range: [0, 2], parameters: {weight: 1}}
          - {model: B, layer_range: [0, 2], parameters: {weight: 1}}
dtype: float32
""",
}
SEARCHES: dict[str, str] = {
    "evolve": """\
genome:
  models: [A, B]
  merge_method: ties
  base_model: base
  layer_granularity: 1
  filters: [self_attn, mlp]
  normalize: true
tasks:
  - {name: sums, weight: 1.0, metric: acc}
limit: 2
""",
    "evolve, slerp": """\
genome: {models: [A], merge_method: slerp, base_model: base, tokenizer_source: base}
tasks: [sums]
num_fewshot: 0
apply_chat_template: false
""",
    "mergenetic": """\
run_id: multi
n_iter: 1
pop_size: 6
metric: acc
models: [A, B]
base_model: base
tasks: [sums]
seed: 42
n_samples: 2
""",
    **{name: YAML[name] for name in ("models", "slices", "stages")},
}
_YAML_PREFER = (
    "merge_method", "base_model", "models", "model", "parameters", "weight", "density", "slices", "sources",
    "layer_range",
    "dtype", "tokenizer_source", "tokenizer", "t", "filter", "value", "chat_template", "modules", "tokens", "name",
    "genome", "tasks", "limit", "pop_size", "n_iter", "metric", "layer_granularity", "filters",
)  # fmt: skip
_SNIPPETS = (
    "!!python/object/apply:os.system ['touch hacked']", "!!python/name:os.system", "!!python/module:os",
    "!!python/object/new:os.system ['touch hacked']", "!!binary aGVsbG8=", "2024-02-31", "2024-01-01 25:00:00",
    "1_000", "0x10",
    "1:30", "012", ".nan", ".inf", "-.inf", "~", "yes", "!!float x", "!!int x", "!!bool maybe", "!!set {a, b}",
    "!!omap [a: 1]",
    "!!timestamp x", "!custom x", "*absent", "&a [*a]", "&a {x: *a}", "? [a, b]", "{a: 1, a: 2}", "!!null x",
    "9" * 10_000,
    "'unclosed", '"\\ud800"', '"\\x00"', "\t", "@x", "`x`", "%x", "|\n  text", "<<: {a: 1}", "{<<: 3}", "!!str 3",
    "0o17", "1e999",
)  # fmt: skip
_BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))


def mutate_yaml(rng: Random, path: Path, texts: Mapping[str, str] = YAML) -> str:
    """Writes one of the texts, recipes of mergekit's kind unless others are given, and changes it."""
    base = rng.choice(sorted(texts))
    text = texts[base]
    kind = rng.choice(("tree", "tree", "tree", "snippet", "snippet", "text", "file", "bomb", "documents", "none"))
    if kind == "tree":
        documents = list(yaml.safe_load_all(text))
        done = values.change(rng, rng.choice(documents), _YAML_PREFER)
        try:
            written = yaml.safe_dump_all(documents, sort_keys=False)
        except RecursionError:  # what is nested deeper than PyYAML writes; JSON is YAML too
            written = "\n---\n".join(map(json.dumps, documents))
        path.write_bytes(written.encode("utf-8", "surrogatepass"))
        return f"{base}: {done}"
    if kind == "snippet":
        snippet = rng.choice(_SNIPPETS)
        # In the place of a scalar.
        ends = [at for at, letter in enumerate(text) if letter == ":" and text[at + 1 : at + 2] in (" ", "\n")]
        at = rng.choice(ends)
        end = next(i for i in range(at + 1, len(text)) if text[i] in ",}\n" and i > at + 1)
        path.write_text(f"{text[: at + 1]} {snippet}{text[end:]}", encoding="utf-8")
        return f"{base}: {snippet[:50]!r} in it"
    if kind == "bomb":
        # Aliases that stand for 2 * 9 ** 11 values.
        tail = rng.choice(("", text, "models: *a11\n", "merge_method: *a11\n", "parameters: {weight: *a11}\n"))
        path.write_text(_BOMB + tail, encoding="utf-8")
        return f"{base}: aliases of aliases"
    if kind == "documents":
        other = texts[rng.choice(sorted(texts))]
        path.write_text(
            rng.choice((text + "---\n" + other, "---\n" * 50 + text, text + "...\n" + other, "---\n")), encoding="utf-8"
        )
        return f"{base}: several documents"
    path.write_text(text, encoding="utf-8")
    if kind == "none":
        return f"{base}: unchanged"
    return f"{base}: {(values.change_text if kind == 'text' else values.change_file)(rng, path)}"
