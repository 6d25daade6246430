"""Views of a run: what its records and its manifest say of baselines, candidates, items and smooth metrics."""
