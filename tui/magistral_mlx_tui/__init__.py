"""The Textual app: reasoning and answer side by side. It talks to an Engine and imports no MLX."""
