"""Train the miniature (torch)."""
