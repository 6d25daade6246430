"""Facts about a model's layers on texts: what enters and leaves them, what their routers say, how alike they are.

Unlike the statistics in the folder above, which are arrays of single tensors, these compare places of a model with each
other, or belong to a router's rows. A text goes through the model alone, so there are no pads.
"""
