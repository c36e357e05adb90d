"""Many scans: the worklist."""
