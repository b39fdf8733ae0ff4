"""A conversation as a file for people or programs: Markdown, HTML, JSON, with or without the reasoning.

Markdown and HTML hold the shown path, JSON every branch. `export.formats` is the entry.
"""
