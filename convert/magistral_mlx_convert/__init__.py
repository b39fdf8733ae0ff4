"""Any source to a 4-bit MLX checkpoint, streamed tensor by tensor."""
