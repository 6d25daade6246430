"""Tasks whose answers are programs: they are run, each in a sandbox of its own, and only where a setting allows it."""
