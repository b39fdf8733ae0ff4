"""The two streaming panes on Textual's line API."""
