"""The verbs of the command line: each module's ``run`` takes a configuration and returns the exit code."""
