"""The runtime behind one Protocol, in this process or in a child process, for the faces."""
