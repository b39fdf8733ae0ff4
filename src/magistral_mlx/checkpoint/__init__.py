"""A folder on disk, validated and described. No arrays, no MLX."""
