"""From a checked configuration to a search, a merge and an export; identity, manifest and model card."""
