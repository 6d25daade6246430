"""A folder with tiny real models, one of them sharded, a task, an adapter, and files nobody may read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

MODELS = ("base", "A", "B")
TASK = """\
task: sums
dataset_path: json
dataset_kwargs: {data_files: {test: sums.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{options}}"
doc_to_target: gold
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
_SPECIAL = ("<pad>", "<bos>", "<eos>")
_RANK = 2


def build(folder: Path, *, hidden: int = 16, layers: int = 2) -> None:
    """Makes the folder: ``base``, ``A`` (in shards) and ``B`` of one family, ``adapter``, ``tasks``, ``secret``.

    Args:
        folder: Where to.
        hidden: Width of the models.
        layers: Their depth.
    """
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    config = transformers.LlamaConfig(
        hidden_size=hidden, intermediate_size=2 * hidden, num_hidden_layers=layers, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=len(_SPECIAL) + len(alphabet), max_position_embeddings=512,
        tie_word_embeddings=False, **ids,
    )  # fmt: skip
    tokenizer = Tokenizer(models.BPE({token: at for at, token in enumerate((*_SPECIAL, *alphabet))}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>", model_max_length=512
    )
    fast.chat_template = "{% for m in messages %}<bos>{{ m['role'] }}: {{ m['content'] }}<eos>\n{% endfor %}"
    for seed, name in enumerate(MODELS):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        model.save_pretrained(folder / name, max_shard_size="10KB" if name == "A" else "5GB")
        fast.save_pretrained(folder / name)
    _adapter(folder / "adapter", load_file(folder / "base" / "model.safetensors"))
    (folder / "tasks").mkdir()
    (folder / "tasks" / "sums.yaml").write_text(TASK)
    rows = [{"question": f"{i} + 1 =", "options": [str(i + 1), str(i + 2)], "gold": i % 2} for i in range(60)]
    (folder / "tasks" / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shutil.copytree(folder / "B", folder / "secret")
    for name in (
        "chat_template.jinja",
        "tokenizer.model",
        "vocab.json",
        "vocab.txt",
        "merges.txt",
        "added_tokens.json",
        "tokenizer.4.0.0.json",
    ):
        (folder / "secret" / name).write_text("{}")


def _adapter(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    """A LoRA adapter of the base as peft writes it."""
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "base", "r": _RANK, "lora_alpha": 4,
        "target_modules": ["q_proj", "down_proj"], "lora_dropout": 0.0, "bias": "none", "fan_in_fan_out": False,
        "modules_to_save": None, "use_rslora": False, "use_dora": False, "rank_pattern": {}, "alpha_pattern": {},
        "inference_mode": True, "init_lora_weights": True, "revision": None,
    }  # fmt: skip
    tensors = {}
    for name, weight in weights.items():
        if name.split(".")[-2] in config["target_modules"]:
            module = f"base_model.model.{name.removesuffix('.weight')}"
            tensors[f"{module}.lora_A.weight"] = weight[:_RANK].clone()
            tensors[f"{module}.lora_B.weight"] = weight[:, :_RANK].clone()
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2))


def recipe(method: str = "ties") -> dict[str, Any]:
    """A recipe of ours over the models."""
    common = {"groups": {"groups": [{"label": "all"}]}, "out_dtype": "float32"}
    if method == "linear":
        return {"method": "linear", "sources": ["A", "B"], "coefficients": {"weight": [[0.5, 0.5]]}, **common}
    if method == "layers":
        layers = [{"inputs": [[0, 0], [1, 0]]}, {"inputs": [[0, 1], [1, 1]]}, {"inputs": [[0, 1], [0, 0]]}]
        return {
            "method": "linear",
            "sources": ["A", "B"],
            "coefficients": {"weight": [[0.5, 0.5]]},
            "layers": layers,
            **common,
        }
    if method == "nested":
        return {**recipe("linear"), "sources": ["A", {"recipe": {**recipe("linear"), "sources": ["B", "base"]}}]}
    if method == "adapter":
        return {**recipe("linear"), "sources": ["A", {"adapter": "adapter", "on": "base"}]}
    values = {"weight": [[0.5, 0.5]], "density": [[0.5, 0.6]], "lambda": [1.0]}
    return {"method": "ties", "sources": ["A", "B"], "base": "base", "coefficients": values, **common}
