"""A scan becomes a damage map."""
