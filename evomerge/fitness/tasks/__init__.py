"""The lm-eval side: finds, checks and loads tasks, builds items, judges answers. The only importer of lm_eval."""
