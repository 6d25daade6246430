"""The comparison of two models from their per-item files: pairing, judgement, and the page that says it."""
