"""Keep an answer inside its JSON schema, and close it in time."""
