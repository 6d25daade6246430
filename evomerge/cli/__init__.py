"""The command line: verbs, progress, interrupts and the jobs of sweeps. What they do is done in other rooms."""
