"""Looks at values rather than headers: whether two sources are equal, whether all numbers are numbers."""
