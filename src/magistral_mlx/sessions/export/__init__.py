"""A conversation as a file for people or programs: Markdown, HTML, JSON, with or without the reasoning.

Markdown and HTML hold the path that is shown, JSON holds every branch. Imported from `export.formats`.
"""
