"""Findings on held-out items: comparisons with references, what is held, the procedure, and the words for it."""
