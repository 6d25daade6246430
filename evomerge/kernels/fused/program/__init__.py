"""The kernels themselves, in Triton; importing them imports it.

They compute, bit for bit, what :mod:`evomerge.kernels.reference` defines (a NaN equals a NaN, whatever its payload):
the same float32 operations in the same order, each rounded by itself. So they must be compiled without fused
multiply-add, and quotients ask for IEEE division.
"""
