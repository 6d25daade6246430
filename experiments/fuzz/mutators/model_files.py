"""Changes of the files of a model folder beside its weights: shard index, config, tokenizer, generation settings."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

from experiments.fuzz.mutators import values

INDEX = "model.safetensors.index.json"
_PLACES = (
    "../secret/model.safetensors", "../../secret/model.safetensors", "/etc/passwd", "//etc/passwd", "./{}",
    "x/../{}", "{}\0",
    "{}\0.safetensors", "", ".", "..", "/", "~/{}", "$HOME/{}", "file://{}", "C:\\{}", "\\\\host\\{}", "{} ", "\n",
    "x" * 5000,
    "ｍodel.safetensors", "..\u2215secret", "config.json", "model.safetensors", INDEX, "/dev/zero", "/proc/self/mem",
    "sub/{}", "{}/", "\ud800", "a/" * 3000 + "{}",
)  # fmt: skip
_CONFIG = (
    "model_type", "architectures", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
    "vocab_size", "intermediate_size", "hidden_act", "rope_parameters", "rope_theta", "rope_type", "dtype",
    "max_position_embeddings", "tie_word_embeddings", "eos_token_id", "bos_token_id", "rms_norm_eps", "head_dim",
)  # fmt: skip
# Fields that make transformers do something else than read numbers.
_CONFIG_FIELDS: dict[str, tuple[Any, ...]] = {
    "model_type": (
        "gpt2",
        "bert",
        "t5",
        "no_such",
        "../secret",
        "llama\0",
        ["llama"],
        {"llama": 1},
        "LLAMA",
        "auto",
        "mamba",
    ),
    "architectures": ("LlamaForCausalLM", ["NoSuch"], [], [None], [["x"]], ["os.system"]),
    "auto_map": (
        {"AutoConfig": "evil.Config"},
        {"AutoModelForCausalLM": "../secret--x.Y"},
        "evil",
        [],
        {"AutoConfig": None},
    ),
    "quantization_config": ({"quant_method": "gptq"}, {"quant_method": ["x"]}, {}, [], "int8", 8, {"bits": 4}),
    "text_config": ({}, [], None, "llama", {"model_type": "gpt2"}, {"text_config": {"text_config": {}}}, 3),
    "layer_types": (["full_attention"], ["x", "y"], "full_attention", [1, 2], ["full_attention"] * 100_000, {}),
    "rope_scaling": ({"type": "linear"}, {"type": "yarn", "factor": -1}, {"rope_type": ["x"]}, "linear", [1]),
    "transformers_weights": ("../secret/model.safetensors", "/etc/passwd", 3, None, ["model.safetensors"], "x.bin"),
    "configuration_files": (["../secret/config.json"], "x", [1], {}),
    "attn_implementation": ("flash_attention_2", "kernels-community/x", 3, ["eager"]),
    "_attn_implementation": ("no_such", 1, []),
    "torch_dtype": ("float99", 3, ["float32"], "os", "__class__", "float8_e4m3fn"),
    "dtype": ("float99", "int8", {"a": "float32"}, [], "load", "bool"),
    "id2label": ({"x": "y"}, [], 3, {"0": [1]}),
    "num_labels": (10**9, -1, "x", 1e300),
    "pruned_heads": ({"x": [1]}, [1], {"0": "x"}),
    "tie_word_embeddings": ("yes", 2, [], None, True, False),
    "num_hidden_layers": (0, -1, 10**5, 10**9, 10**18, 2.5, "2", [2], None, True),
    "vocab_size": (0, -5, 10**12, 10**19, "x", [1], None, 258, 260),
    "hidden_size": (0, -16, 10**9, 10**18, 15, 1.5, "16", None),
    "num_attention_heads": (0, -1, 3, 10**9, 16, 1.5, "4"),
    "use_cache": ("x", 3, [], False),
    "eos_token_id": (-1, 10**9, [1, "x"], "2", {"a": 1}, [[2]], 1.5),
    "gguf_file": ("../secret/x.gguf",),
    "_name_or_path": ("../secret", "/etc", 3, []),
    "trust_remote_code": (True,),
    "custom_pipelines": ({"x": {"impl": "evil.py"}},),
    "generation_config": ({"num_beams": 4}, "x", []),
    "num_beams": (4, "x"),
    "temperature": (-1, "hot"),
    "max_length": (-1, "x", 10**12),
}
_TOKENIZER_FIELDS: dict[str, tuple[Any, ...]] = {
    "tokenizer_class": ("NoSuch", "LlamaTokenizer", "GPT2Tokenizer", 3, [], None, "os.system", "../secret"),
    "auto_map": ({"AutoTokenizer": ["evil.Tok", None]}, "evil", [], {"AutoTokenizer": "x--y.Z"}),
    "tokenizer_file": ("secret/tokenizer.json", "../secret/tokenizer.json", "/etc/passwd", 3, None, []),
    "vocab_file": ("secret/tokenizer.json", "../secret/tokenizer.json", "/etc/passwd", 3, None),
    "name_or_path": ("../secret", "/etc/passwd", 3),
    "model_max_length": (-1, 0, "x", None, 10**30, 1.5, [], True, float("nan"), 1),
    "chat_template": (3, [], {}, [1], [{"name": 1}], "{% for", "{{ 1/0 }}", "{{ ''.__class__.__mro__ }}",
    "x" * 10**6),
    "added_tokens_decoder": ({}, [], {"x": {}}, {"0": 3}, {"-1": {"content": "a"}},
    {"99999999999999999999": {"content": "b"}},
                             {"5": {"content": None}}, {"5": {"content": ["x"]}}, {"300": {"content": "<new>"}}),
    "extra_special_tokens": ({"a": 3}, ["x"], "x", {"__class__": "y"}, 3),
    "additional_special_tokens": (3, "x", [1], [{"content": 1}], [None]),
    "eos_token": (None, 3, [], {}, "", {"content": None}, {"content": "<new>"}, "<absent>", True),
    "bos_token": (None, 3, [], {}, ""),
    "pad_token": (None, 3, [], {"content": 3, "__type": "AddedToken"}),
    "padding_side": ("up", 3, None, []),
    "truncation_side": ("up", 3),
    "fast_tokenizer_files": (["../secret/tokenizer.4.0.0.json"], ["tokenizer.4.0.0.json"], "x", [3], {}),
    "split_special_tokens": ("x", 3),
    "legacy": ("x", None),
    "backend": ("slow", 3, "tokenizers"),
    "is_local": ("x",),
    "fix_mistral_regex": (True, "x"),
    "add_bos_token": (True, "x", 3),
}  # fmt: skip
_GENERATION_FIELDS: dict[str, tuple[Any, ...]] = {
    "num_beams": (4, 0, -1, "x", None, [2]),
    "temperature": (-1, 0, "hot", 1e400, None),
    "do_sample": ("x", 3, True),
    "max_new_tokens": (-1, 0, "x", 10**12, 1.5, []),
    "eos_token_id": (-1, 10**9, "x", [1, "x"], {"a": 1}, [[2]], []),
    "bad_words_ids": ([[10**9]], [[]], [1], "x", [["x"]], [[-1]]),
    "sequence_bias": ({"x": 1}, [[[1], 0.5]], [[[10**9], 1.0]], 3, [[1, 2]]),
    "suppress_tokens": ([10**9], "x", [-1], [[]]),
    "forced_eos_token_id": (10**9, "x", -1),
    "repetition_penalty": (0, -1, "x", 1e308, None),
    "no_repeat_ngram_size": (-1, "x", 10**9),
    "watermarking_config": ({}, {"greenlist_ratio": "x"}, 3),
    "cache_implementation": ("quantized", "no_such", 3, []),
    "compile_config": ({"x": 1}, 3, []),
    "transformers_version": (3, "99.0", None),
    "_from_model_config": ("x", True),
    "pad_token_id": (-1, "x", 10**9, []),
    "guidance_scale": (2, "x"),
    "token_healing": (True, "x"),
    "stop_strings": (3, ["x"], [3]),
}


def mutate_index(rng: Random, folder: Path) -> tuple[str, str]:
    """Changes a shard index, or puts links in the place of shards; returns the file and what was done."""
    path = folder / INDEX
    kind = rng.choice(("path", "path", "path", "names", "map", "tree", "text", "file", "shard"))
    if kind == "text":
        return INDEX, values.change_text(rng, path)
    if kind == "file":
        return INDEX, values.change_file(rng, path)
    if kind == "tree":
        return INDEX, values.change_json(rng, path, ("weight_map",))
    if kind == "shard":
        shard = rng.choice(sorted(folder.glob("*.safetensors")))
        return shard.name, values.change_file(rng, shard)
    data = json.loads(path.read_text())
    listed = data["weight_map"]
    name = rng.choice(sorted(listed))
    if kind == "path":
        place = rng.choice(_PLACES).replace("{}", listed[name])
        # Of one tensor, or of all of its file.
        named = [name] if rng.random() < 0.5 else [n for n in listed if listed[n] == listed[name]]
        listed |= dict.fromkeys(named, place)
        done = f"{len(named)} tensors lie in {place[:60]!r}"
    elif kind == "names":
        other = rng.choice((name + "x", "", "\0", "../" + name, "x" * 10_000))
        listed[other] = listed[name] if rng.random() < 0.5 else listed.pop(name)
        done = f"{name} is called {other[:40]!r}"
    else:
        data["weight_map"] = rng.choice((*values.ODD, list(listed.items()), {n: [f] for n, f in listed.items()}))
        done = f"weight_map is {ascii(data['weight_map'])[:60]}"
    values.write(path, data)
    return INDEX, done


def mutate_config(rng: Random, folder: Path) -> tuple[str, str]:
    """Changes config.json."""
    return "config.json", values.change_object(rng, folder / "config.json", _CONFIG_FIELDS, _CONFIG)


def mutate_generation(rng: Random, folder: Path) -> tuple[str, str]:
    """Changes generation_config.json."""
    path = folder / "generation_config.json"
    return path.name, values.change_object(rng, path, _GENERATION_FIELDS, ("eos_token_id",))


def mutate_tokenizer(rng: Random, folder: Path) -> tuple[str, str]:
    """Changes tokenizer.json: model, vocabulary, merges, added tokens, normalisers."""
    path = folder / "tokenizer.json"
    kind = rng.choice(("tree", "tree", "vocabulary", "added", "text", "file"))
    if kind in ("text", "file"):
        return path.name, (values.change_text if kind == "text" else values.change_file)(rng, path)
    if kind == "tree":
        return path.name, values.change_json(
            rng, path, ("model", "vocab", "merges", "type", "added_tokens", "pre_tokenizer")
        )
    data = json.loads(path.read_text())
    if kind == "vocabulary":
        vocabulary = data["model"]["vocab"]
        token = rng.choice(sorted(vocabulary))
        vocabulary[token] = rng.choice(
            (-1, 2**31, 2**32, 2**40, 10**30, None, "1", [], 1.5, True, 5, len(vocabulary) + 3)
        )
        done = f"{token!r} has id {vocabulary[token]!r}"
    else:
        odd = rng.choice((-1, 2**32, 10**30, None, "1", [], 1.5, 5, 70_000))
        entry = {"id": odd, "content": rng.choice(("<new>", "", None, 3, "a", "x" * 10_000, "<eos>")), "special": True}
        data["added_tokens"] = rng.choice(([entry], [*data["added_tokens"], entry], {"x": entry}, [3], [None], "x"))
        done = f"added_tokens is {ascii(data['added_tokens'])[:60]}"
    values.write(path, data)
    return path.name, done


def mutate_tokenizer_config(rng: Random, folder: Path) -> tuple[str, str]:
    """Changes tokenizer_config.json."""
    path = folder / "tokenizer_config.json"
    prefer = ("model_max_length", "eos_token", "tokenizer_class", "added_tokens_decoder")
    return path.name, values.change_object(rng, path, _TOKENIZER_FIELDS, prefer)


def mutate_special_tokens(rng: Random, folder: Path) -> tuple[str, str]:
    """Adds or changes other files of tokenizers, old ones among them, and chat templates."""
    name = rng.choice(
        ("special_tokens_map.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja",
        "chat_template.jinja",
         "additional_chat_templates/x.jinja", "vocab.json", "vocab.txt", "merges.txt", "tokenizer.model",
         "preprocessor_config.json")
    )  # fmt: skip
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    if name.endswith(".json"):
        known: dict[str, Any] = {
            "eos_token": "<eos>",
            "bos_token": {"content": "<bos>", "lstrip": False},
            "pad_token": "<pad>",
        }
        if name != "special_tokens_map.json":
            known = {"<pad>": 0, "<bos>": 1, "a": 5}
        values.write(path, known)
        return name, rng.choice((values.change_json, values.change_text, values.change_file))(rng, path)
    path.write_bytes(b"{% for m in messages %}{{ m['content'] }}{% endfor %}")
    if rng.random() < 0.4:
        path.write_text(
            rng.choice(
                ("{% for", "{{ 1/0 }}", "{% include '/etc/passwd' %}", "{{ messages.__class__ }}", "\0", "x" * 10**6)
            )
        )
        return name, "another text"
    return name, rng.choice((values.change_text, values.change_file))(rng, path)
