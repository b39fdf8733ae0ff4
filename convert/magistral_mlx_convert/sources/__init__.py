"""Sources of weights: each module turns one kind into the same rows of tensors."""
