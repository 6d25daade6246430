"""Other tools' files, read and written: their text and facts about models in, recipes out.

Nothing here opens a model or merges anything. Facts about models come from a function that the caller gives.

- :mod:`.yaml_text`: YAML, read with care.
- :mod:`.mergekit`: mergekit's recipes, both ways; :mod:`.mergekit_numbers` finds the numbers that a search takes from
  one, :mod:`.provenance` the places that a tensor's values come from.
- :mod:`.evolve`, :mod:`.mergenetic`: searches of mergekit-evolve and Mergenetic, as settings of ours
  (:mod:`.overrides`).
"""
