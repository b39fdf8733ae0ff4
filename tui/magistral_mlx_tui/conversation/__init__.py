"""What a conversation in the app does; no widgets."""
