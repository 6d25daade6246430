"""Transformations: experts in, one more ordinary model out, which then joins a search as a further expert."""
