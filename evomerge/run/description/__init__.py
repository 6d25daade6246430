"""Descriptions of a run, made when it begins: its identity, and its manifest."""
