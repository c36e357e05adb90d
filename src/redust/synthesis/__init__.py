"""Drawing damage on sound photographs: pairs of a damaged picture and its true mask.

Read in this order: :mod:`recipe` (what can be chosen), :mod:`shapes` and :mod:`material` (where damage
lies), :mod:`looks` (how it changes light), :mod:`ground` and :mod:`negatives` (what lies under and around
it), :mod:`synthesizer` (all of it together).
"""
