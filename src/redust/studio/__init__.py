"""The studio: look at scans, correct their masks and restore them, in a browser or through its HTTP API."""
