"""Parts of methods that look at the singular values of deltas.

- :mod:`.matrices`: which tensors are matrices, or stacks of them, and their deltas.
- :mod:`.decomposition`: singular values and vectors, and polar factors, the same on any number of threads.
- :mod:`.shared_basis`: the basis that all deltas of a matrix share, thin for adapters.
- :mod:`.options`: options that these methods share.
- :mod:`.updates`: what was prepared of matrices is added to the base; all other tensors are added up plainly.
- :mod:`.task_triples`: TSV-M's orthogonalised singular vectors of all deltas.

Decompositions depend on the machine's LAPACK and processor in their last bits, and so do the arrays that are prepared.
"""
