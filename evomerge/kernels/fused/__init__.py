"""Single-pass Triton kernels on a CUDA GPU: the kernels (``program``), and one binding for each.

Each binding computes, to the last bit, what the function of the same name in :mod:`evomerge.kernels.reference` defines.
Triton comes with PyTorch's CUDA builds; nothing here needs it before :func:`kernels` is called.
"""

from evomerge.kernels.fused.library import kernels, takes, takes_mixture, unusable

__all__ = ["kernels", "takes", "takes_mixture", "unusable"]
