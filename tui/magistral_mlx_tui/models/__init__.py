"""The installed models, and a conversion that runs inside the app."""
