"""Synthesis: draw damage on undamaged photographs, as pairs of a damaged picture and its true mask.

Reading order: :mod:`recipe` (settings), :mod:`shapes` and :mod:`material` (where damage lies), :mod:`appearance` (how
it changes light), :mod:`film_simulation`, :mod:`scanner_simulation` and :mod:`negatives` (the picture apart from its
damage), :mod:`synthesizer` (all of it together), :mod:`write_pairs` (pairs as files).

A second way, for film alone: :mod:`film_chain` (film, scanner, file), :mod:`film_stages`, :mod:`film_marks`,
:mod:`simulate_scan`.
"""
