"""mergekit's YAML: configurations read into recipes, and recipes written as configurations.

- :mod:`.reading`: from a text to typed configurations (:mod:`.config`), without a look at models.
- :mod:`.translation`: from these and facts about the models to a recipe. :mod:`.blocks` has the shape of the merge,
  :mod:`.values` and :mod:`.parameters` the values of each tensor, :mod:`.assembly` makes the recipe of them.

The rules are those of mergekit 0.1.5. The room holds no line of it. What differs on purpose:

- Inputs are rounded to ``dtype``, arithmetic is float32, and the result is rounded once; mergekit's runs in ``dtype``.
- The tokens that a union appends are in the order of the models; mergekit's order changes from run to run, and without
  ``base_model`` so does the tokenizer that it starts from.
- Fields of the config with an entry per layer (``layer_types``) go with the layers; mergekit leaves such lists alone.
- Experts of mixtures are merged as the base stores them, often one by one; mergekit merges and writes them stacked.
- No tensor is lost that mergekit's table of an architecture lacks, and none that it lists in vain is asked for.
- ``sce`` gives tensors of the models' shapes, also of one model or where no element is selected; mergekit's gain a
  dimension there. ``arcee_fusion`` gives the type that is asked for; mergekit gives float32.
- Named chat templates say the same in other words. ``tokenizer_source`` and ``tokenizer`` name models that are merged.
"""
