"""The thesis, repeated: its networks, its grid, its report."""
