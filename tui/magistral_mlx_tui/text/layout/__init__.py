"""Break text into rows of cells."""
