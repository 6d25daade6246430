"""Uses of the tensors on disk in a live model, and how inputs and outputs of these uses are seen."""
