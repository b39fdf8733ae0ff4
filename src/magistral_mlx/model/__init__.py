"""From token ids and pixels to logits: pure MLX, no text, no network, no paths except in `loading`."""
