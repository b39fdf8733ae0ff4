"""The terminal itself: signals, stderr, the frame clock, garbage collection."""
