"""Lists of wordings."""
