"""How good a detector is: pairs, metrics, scores, calibration, plots. No torch."""
