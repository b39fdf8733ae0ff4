"""Measure the miniature and write its checkpoint."""
