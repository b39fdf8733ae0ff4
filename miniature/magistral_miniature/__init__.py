"""How the bundled miniature is made: its tasks, its tokenizer, its training and its evaluation.

The modules that say what the miniature must answer (`words` to `conversations`) are plain Python;
the ones that train it need torch. None of this is shipped in the wheel.
"""
