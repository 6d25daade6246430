"""Comparison of checkpoints before any work: configs, tensors and tokenizers that must fit to be merged."""
