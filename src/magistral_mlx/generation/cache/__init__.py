"""Reuse what was computed: KV caches by prompt, image features by digest, both on disk."""
