"""Paths, messages, atomic files and units."""
