"""Tell how far a conversion is, to people and to programs."""
