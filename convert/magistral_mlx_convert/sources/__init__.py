"""Where weights come from: each module turns one kind of source into the same rows of tensors."""
