"""Token ids and pixels to logits; pure MLX: no paths beyond loading, no text, no network."""
