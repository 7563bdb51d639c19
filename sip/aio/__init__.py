"""The shell around the core: sockets, names, and the one timer."""
