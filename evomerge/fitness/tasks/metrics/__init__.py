"""Metrics of ours beside those of the tasks: smooth companions of accuracy, lengths of answers."""
