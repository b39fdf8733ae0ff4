"""Read repositories of the Hugging Face hub."""
