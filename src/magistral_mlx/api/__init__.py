"""The public objects: model, conversation, stream, batch, memory plan."""
