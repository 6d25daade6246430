"""Findings: comparisons with references, what is held, the procedure, how candidates were scored, and the words."""
