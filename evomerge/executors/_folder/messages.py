"""Jobs and results as JSON: what workers of other machines are handed, and hand back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from evomerge.evaluation import Ask, Failure, Job, Outcome, Response, compact
from evomerge.executors._folder.packed_drafts import PackedDrafts, unpacked
from evomerge.executors._shared.protocol import Result
from evomerge.recipe import Recipe

__all__ = ["job_from_json", "job_to_json", "key_of", "read_result", "result_text"]


def job_to_json(job: Job, packed: PackedDrafts | None = None) -> dict[str, Any]:
    """All of a job.

    Args:
        job: The job.
        packed: Packs its drafts, which it names by their digest: they lie in the list that it stands in.
    """
    return {
        "id": job.id,
        "recipe": job.recipe.to_json(),
        "items": {task: list(ids) for task, ids in job.items.items()},
        "ask": job.ask.to_json(),
        "variant": job.variant,
        "drafts": (packed or PackedDrafts()).digest(job.drafts),
    }


def job_from_json(data: Mapping[str, Any], drafts: Mapping[str, str]) -> Job:
    """Reads what :func:`job_to_json` wrote.

    Args:
        data: The job.
        drafts: The packed drafts of the list that it stands in.
    """
    items = {task: tuple(ids) for task, ids in data["items"].items()}
    recipe, ask = Recipe.from_json(data["recipe"]), Ask.from_json(data["ask"])
    known = unpacked(drafts[data["drafts"]]) if data["drafts"] else {}
    return Job(data["id"], recipe, items, ask, data["variant"], known)


def key_of(data: Mapping[str, Any]) -> str:
    """The digest of a job, which names its claim and its result: the same for the same job in any session."""
    return hashlib.sha256(compact(data).encode()).hexdigest()[:32]


def result_text(result: Result) -> str:
    """The text of a result's file. Answers that JSON cannot hold are a failure, as no record could hold them."""
    try:
        return json.dumps(_result_to_json(result, result.outcome), separators=(",", ":"))
    except (TypeError, ValueError) as error:
        failed = Outcome(error=Failure("error", f"an answer cannot be kept: {error}"), seconds=result.outcome.seconds)
        return json.dumps(_result_to_json(result, failed))


def _result_to_json(result: Result, outcome: Outcome) -> dict[str, Any]:
    return {
        "job": result.job,
        "attempt": result.attempt,
        "worker": result.worker,
        "responses": [response.to_json() for response in outcome.responses],
        "error": None if outcome.error is None else outcome.error.to_json(),
        "seconds": dict(outcome.seconds),
    }


def read_result(text: str) -> Result:
    """Reads what :func:`result_text` wrote.

    Raises:
        ValueError: If it is something else: torn by a machine that lost power.
    """
    try:
        data = json.loads(text)
        error = None if data["error"] is None else Failure(data["error"]["kind"], data["error"]["message"])
        responses = tuple(Response.from_json(response) for response in data["responses"])
        outcome = Outcome(responses, error, data["seconds"])
        return Result(data["job"], int(data["attempt"]), data["worker"], outcome)
    except (KeyError, TypeError, AttributeError) as problem:
        raise ValueError(f"no result: {problem}") from problem
