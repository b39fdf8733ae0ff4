"""The model behind one Protocol, in this process or in a child process, for user interfaces."""
