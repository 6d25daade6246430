"""Greedy generation: plain, by transformers' own loop, and with drafts, many rows in one pass."""
