"""Pixels and a mask become filled pixels."""
