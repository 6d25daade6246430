"""Schema, parsing, composition and validation of the configuration: the room that knows Hydra and omegaconf."""
