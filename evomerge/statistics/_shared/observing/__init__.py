"""What tensors on disk are used for in a live model, and how their inputs and outputs are seen."""
