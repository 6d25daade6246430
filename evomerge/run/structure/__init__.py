"""Models of another structure: mixtures of experts built and condensed, and how much each layer of a model does."""
