"""What a scan, a damage map, a mask and a tile are. NumPy (and pydantic for settings) only."""
