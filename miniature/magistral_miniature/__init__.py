"""How the bundled miniature is made: its tasks, its tokenizer, its training and its evaluation.

`wordings` and `tasks` define questions and answers in plain Python. `training` and `publishing` need torch.
The wheel contains none of this.
"""
