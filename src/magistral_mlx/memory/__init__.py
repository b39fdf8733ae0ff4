"""How much memory a model, a context and an image need, and what fits."""
