"""Conversations on disk: kept as they happen, found again, gone on with, exported.

    library  ->  session  ->  journal, tree  ->  records
    export   ->  tree         search -> tree     drafts

Faces import from here or from these modules; no MLX and no pillow.
"""
