"""Put a converted model where others find it: the Hugging Face hub, LM Studio."""
