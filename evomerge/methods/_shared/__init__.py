"""Shared parts of merge methods: their declaration, options and coefficients, and sparsified task vectors.

- :mod:`.declaration`: :class:`MergeMethod`; :mod:`.inputs`: what its functions are given;
  :mod:`.needs`: the statistics of activations and gradients that it reads.
- :mod:`.options`, :mod:`.coefficients`, :mod:`.mergekit`: one word for one thing in all methods.
- :mod:`.task_vector`: the merge of all methods on deltas; :mod:`.sparsify`: the masks that tell them apart.
- :mod:`.ranks`: ranks of a delta's elements within rows.
- :mod:`.elementwise`: element-wise merges that no kernel has, from blocks of all deltas; :mod:`.tasks`: the option
  ``task`` of methods that keep a model for each expert's task.
- :mod:`.averages`: weighted sums of models without a base.
- :mod:`.delta_sizes`: averages of deltas by their sizes; :mod:`.activity`: elements that one or several models changed.
- :mod:`.vectors`: inner products of tensors, rows or columns, and their weighted sums.
- :mod:`.matrices`: which tensors methods on matrices alone treat, and deltas row by row; :mod:`.interference`: what
  WUDI and its relatives minimise, step by step or in closed form.
- :mod:`.whole_tensor`: methods that are plain functions of whole tensors.
"""
