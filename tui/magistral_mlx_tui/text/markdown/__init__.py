"""Render Markdown as it streams."""
