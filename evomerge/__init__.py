"""evomerge: evolves merges of language models.

Several fine-tuned checkpoints of one architecture go in; a search over per-layer merge coefficients, scored on subsets
of lm-eval tasks, gives a Pareto front of merged models with held-out scores. Any of them can be exported as a model
folder.
"""

__version__ = "0.1.0"
