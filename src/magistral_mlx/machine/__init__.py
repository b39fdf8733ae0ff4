"""What this machine has, uses and senses."""
