"""What is shown, as pure functions of text: cleaning, light Markdown, wrapping, figures. No Textual here."""
