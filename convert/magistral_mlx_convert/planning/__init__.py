"""What is written: recipes, widths per matrix, the plan of a conversion."""
