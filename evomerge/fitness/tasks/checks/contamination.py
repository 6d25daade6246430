"""Public benchmarks by which models are compared: searching on them spoils them."""

from __future__ import annotations

BENCHMARKS = (
    "agieval",
    "aime",
    "anli",
    "arc",
    "ai2_arc",
    "bbh",
    "boolq",
    "ceval",
    "cmmlu",
    "commonsense_qa",
    "coqa",
    "drop",
    "eq_bench",
    "glue",
    "gpqa",
    "gsm8k",
    "gsm_plus",
    "hellaswag",
    "hendrycks",
    "humaneval",
    "ifeval",
    "lambada",
    "leaderboard",
    "mbpp",
    "medmcqa",
    "medqa",
    "mgsm",
    "minerva_math",
    "mmlu",
    "musr",
    "nq_open",
    "openbookqa",
    "piqa",
    "pubmedqa",
    "race",
    "sciq",
    "squad",
    "super_glue",
    "swag",
    "triviaqa",
    "truthfulqa",
    "winogrande",
    "xnli",
)


def warning(task: str | None, dataset: str | None, split: str | None) -> str | None:
    """Predicate of a warning for a search on a public benchmark.

    Args:
        task: Name of the task if it is lm-eval's; the user's own names mean what the user likes.
        dataset: Where its data comes from.
        split: Which of the dataset's splits holds the items.

    Returns:
        Ends a sentence that begins with the task's name; ``None`` for a task that is nobody's yardstick.
    """
    source = (dataset or "").rsplit("/", 1)[-1]
    known = next((name for name in BENCHMARKS for text in (task or "", source) if _names(text, name)), None)
    if known is None:
        return None
    return (
        f"scores on the {split or 'test'} split of a well-known benchmark ({known}); "
        "what is found this way must not be compared with other models on it"
    )


def _names(text: str, benchmark: str) -> bool:
    text = text.lower().replace("-", "_")
    return text == benchmark or text.startswith(f"{benchmark}_")
