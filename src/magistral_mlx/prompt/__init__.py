"""People's words and images to token ids and pixel arrays; mistral-common and pillow, no MLX."""
