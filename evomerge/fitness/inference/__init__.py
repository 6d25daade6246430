"""The model's side of fitness: token requests in, log-likelihoods and texts out. Knows tokens and a model, no task."""
