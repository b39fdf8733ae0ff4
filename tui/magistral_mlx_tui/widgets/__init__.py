"""The smaller parts of the screen, one region each."""
