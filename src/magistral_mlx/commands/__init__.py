"""The `magistral` command and its subcommands: parse, call one function, print."""
