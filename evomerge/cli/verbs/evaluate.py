"""``evomerge evaluate``: one model, the same tasks and the same scoring as in a search."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from evomerge.run.configs.verbs import EvaluateConfig
from evomerge.run.evaluate import evaluate, table
from evomerge.store import write_json
from evomerge.texts import printable


def run(config: EvaluateConfig) -> int:
    """Scores the model, prints a table with standard errors, and writes the answers if asked to."""
    scores = evaluate(config, lambda text: print(printable(f"warning: {text}"), file=sys.stderr, flush=True))
    rows = table(scores)
    width = max(len(row["metric"]) for row in rows)
    for row in rows:
        error = f"  ± {row['se']:.4f}  [{row['low']:.4f}, {row['high']:.4f}]" if "se" in row else ""
        print(f"{row['metric']:{width}}  {row['value']:.4f}{error}  ({row['items']} items)")
    if config.out:
        answers = [response.to_json() for response in scores.responses]
        data: dict[str, Any] = {"model": config.model.to_json(), "split": config.split, "run": scores.ran}
        data |= {
            "metrics": scores.metrics,
            "items": scores.items,
            "clusters": scores.cluster_fields,
            "responses": answers,
        }
        write_json(Path(config.out), data)
        print(config.out)
    return 0
