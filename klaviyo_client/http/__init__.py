"""How a request is sent: when (rate limits), by what (transport), and whether again (retries)."""
