"""The command line: verbs, progress, interrupts and sweeps."""
