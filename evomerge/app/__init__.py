"""The command line and the configuration: the only room that knows Hydra, and the one that assembles the others."""
