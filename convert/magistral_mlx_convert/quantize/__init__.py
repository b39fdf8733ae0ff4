"""Calibrated quantization: codes, scales and biases that lose least on what a matrix really reads."""
