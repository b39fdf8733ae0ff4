"""The line-mode front end: whole lines, no redraw, no escape codes, a word for every state.

For screen readers, pipes and programs. Answers go to stdout, everything else to stderr. It stands on the same
controller, the same registry of commands and the same Engine Protocol as the app.
"""
