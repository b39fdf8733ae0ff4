"""From a prompt to events: prefill, decoding, sampling, control of thinking, the prompt cache."""
