"""Conversations on disk: recorded as they happen, listed, searched, continued, exported.

    library  ->  session  ->  journal, tree  ->  records
    export   ->  tree         search -> tree     unsent

These modules import neither MLX nor pillow.
"""
