"""Images that go with a question."""
