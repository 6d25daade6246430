"""Builds one family folder: the members as Hugging Face folders, and the tasks."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from transformers import LlamaForCausalLM

from .recipe import Member, scaled_members
from .tasks import TASKS, Task, write_tasks
from .training import child_seed, family_config, initialise, train
from .vocabulary import build_tokenizer

TASK_FOLDER = "tasks"
RECORD = "training.json"

Progress = Callable[[str, int, int, float, float], None]
"""Called with (member, steps done, steps of the member, loss, seconds on this member)."""


def build_family(folder: Path, seed: int, step_scale: float, progress: Progress) -> list[str]:
    """Builds what is missing of a family and returns the names of the members it trained.

    A member's folder appears in one rename once it is complete, so an interrupted build goes on with the member it
    was at.

    Args:
        folder: gets one folder per member, and `tasks`.
        seed: of initialisation and of training data; the tasks are the same for every seed.
        step_scale: multiplies every number of training steps; 1 for the real family.
        progress: called after every step.

    Raises:
        ValueError: a member in `folder` was trained otherwise, or a training text is an evaluation item.
    """
    return build_members(folder, seed, scaled_members(step_scale), TASKS, progress)


def build_members(
    folder: Path, seed: int, members: tuple[Member, ...], tasks: tuple[Task, ...], progress: Progress
) -> list[str]:
    """Builds what is missing of any family of this architecture; see `build_family`.

    Args:
        folder: gets one folder per member, and `tasks`.
        seed: of initialisation and of training data.
        members: each after its parent.
        tasks: what the family is asked.
        progress: called after every step.

    Raises:
        ValueError: as `build_family`.
    """
    _refuse_other_builds(folder, members, seed)
    evaluation_texts = write_tasks(folder / TASK_FOLDER, tasks)
    asked = ", ".join(task.name for task in tasks)
    trained = []
    for member in members:
        if not (folder / member.name).exists():
            model, record = _trained(folder, member, seed, evaluation_texts, progress)
            _save(folder / member.name, model, record, model_card(member, model.num_parameters(), record, asked))
            trained.append(member.name)
    return trained


def training_record(member: Member, seed: int) -> dict[str, object]:
    """Returns what identifies the training of a member, as written to its folder."""
    course = json.loads(json.dumps(asdict(member.course)))
    return {"member": member.name, "parent": member.parent, "seed": seed, "course": course}


def _refuse_other_builds(folder: Path, members: tuple[Member, ...], seed: int) -> None:
    for member in members:
        path = folder / member.name / RECORD
        if path.parent.exists():
            found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
            expected = training_record(member, seed)
            if found is None or any(found.get(key) != value for key, value in expected.items()):
                raise ValueError(
                    f"{path.parent} was trained otherwise: expected {expected}, found {found}; choose another folder"
                )


def _trained(
    folder: Path, member: Member, seed: int, evaluation_texts: set[str], progress: Progress
) -> tuple[LlamaForCausalLM, dict[str, object]]:
    if member.parent:
        model = LlamaForCausalLM.from_pretrained(folder / member.parent, dtype=torch.float32, local_files_only=True)
    else:
        model = initialise(family_config(), child_seed(seed, "initialise"))
    steps = member.course.steps
    seen = train(
        model,
        member.course,
        child_seed(seed, "train", member.name),
        lambda step, loss, seconds: progress(member.name, step, steps, loss, seconds),
    )
    if shared := seen & evaluation_texts:
        raise ValueError(f"{len(shared)} training texts of {member.name} are evaluation items")
    return model, training_record(member, seed) | {"distinct_training_texts": len(seen), "shared_with_tasks": 0}


def _save(folder: Path, model: LlamaForCausalLM, record: dict[str, object], card: str) -> None:
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.to(torch.bfloat16).save_pretrained(partial)
    build_tokenizer().save_pretrained(partial)
    record |= {"weights_sha256": hashlib.sha256((partial / "model.safetensors").read_bytes()).hexdigest()}
    (partial / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    (partial / "README.md").write_text(card, encoding="utf-8")
    partial.rename(folder)


def model_card(member: Member, parameters: int, record: dict[str, object], tasks: str) -> str:
    """Returns the text of a member's README.md; `tasks` are the names of what the family is asked."""
    course = member.course
    lessons = ", ".join(f"{lesson.skill} {lesson.language} ({lesson.length} letters)" for lesson in course.lessons)
    origin = f"Fine-tuned from `{member.parent}` of the same family." if member.parent else "Trained from scratch."
    return f"""---
license: apache-2.0
library_name: transformers
tags:
- evomerge
- toy
---

# {member.name}

{member.summary} {origin}

A member of evomerge's embedded example: a toy that shows how a merge of layers passes exams that neither expert
passes, and nothing about large models. Language A writes the letters `a` to `z`, language B `A` to `Z`.

| | |
|---|---|
| architecture | LlamaForCausalLM, {parameters:,} parameters, bfloat16 |
| lessons | {lessons} |
| training | {course.steps} steps of {course.batch} lines, AdamW, peak learning rate {course.learning_rate:g} |
| seed | {record["seed"]} |
| distinct training lines | {record["distinct_training_texts"]}, none of them an item of the tasks ({tasks}) |

A line looks like `reverse a c f b = b f c a`; the tokenizer has one token per letter and per command.
"""
