"""A run that many machines work at, through its folder alone: submission, workers, and whoever of them drives it."""
