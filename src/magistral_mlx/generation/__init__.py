"""Logits to events: decoding, sampling, control of thinking, the prompt cache."""
