"""Parts of methods that look at the singular values of deltas.

- :mod:`.matrices`: which tensors are matrices, or stacks of them, and their deltas.
- :mod:`.decomposition`: singular values and vectors, and polar factors, the same on any number of threads.
- :mod:`.shared_basis`: the basis that all deltas of a matrix share, thin for adapters.
- :mod:`.options`: options that these methods share.
- :mod:`.updates`: what was prepared of matrices is added to the base; all other tensors are added up plainly.
- :mod:`.joint_update`: one update of all deltas of a matrix together, prepared or found for each candidate.
- :mod:`.task_triples`: TSV-M's orthogonalised singular vectors of all deltas.
- :mod:`.triples`, :mod:`.partial_sums`: singular triples as prepared arrays, and truncated deltas made of them.
- :mod:`.products`: products of stored vectors, in bfloat16 where the result is bfloat16.

Prepared arrays are large here, and those that the store has no room for are made anew for every candidate, by
decompositions that take far longer than merging: `check` says so, and then ``model.prepared_disk`` has to be raised, or
``stored: float16`` chosen. Their last bits depend on the machine's LAPACK and processor.
"""
