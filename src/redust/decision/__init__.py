"""From a damage map to a mask: which pixels to repair."""
