"""mergekit's YAML: configurations read into recipes, and recipes written as configurations.

- :mod:`.reading`: from a text to typed configurations (:mod:`.config`), without a look at models.
- :mod:`.translation`: from these and facts about the models to a recipe. :mod:`.blocks` has the shape of the merge,
  :mod:`.values` and :mod:`.parameters` the values of each tensor, :mod:`.assembly` makes the recipe of them.

The rules are those of mergekit 0.1.5. The room holds no line of it.
"""
