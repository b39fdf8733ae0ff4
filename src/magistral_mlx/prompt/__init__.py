"""People's words and pictures to token ids and pixel arrays; mistral-common and pillow, no MLX."""
