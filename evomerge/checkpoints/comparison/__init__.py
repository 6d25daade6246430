"""Whether checkpoints can be merged: their configs, tensors and tokenizers compared before any work."""
