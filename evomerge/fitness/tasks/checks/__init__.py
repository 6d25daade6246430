"""Refusals and warnings about tasks, before anything is scored: declarations, documents, judging, public benchmarks."""
