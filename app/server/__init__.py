"""The server process: sockets, connections, workers."""
