"""The server's outside: routes, limits, faults, OAuth, the control API, the request log."""
