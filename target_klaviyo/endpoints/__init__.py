"""Requests that several actions send: what Klaviyo's endpoints want and answer, one module for each kind."""
