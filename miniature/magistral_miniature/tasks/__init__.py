"""The tasks that the miniature learns."""
