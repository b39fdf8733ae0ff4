"""The words that questions are asked in."""
