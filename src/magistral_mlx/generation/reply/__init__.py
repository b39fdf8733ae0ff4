"""Turn token ids into a reply: sections, limits, loops, stop strings."""
