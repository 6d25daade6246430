"""Models that are looked at layer by layer, with weights that change in between."""
