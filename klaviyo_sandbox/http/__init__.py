"""Serves the account over HTTP: routes, access, rate limits, faults, OAuth, the control endpoint, the request log."""
