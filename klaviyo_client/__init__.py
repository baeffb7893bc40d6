"""The client of Klaviyo's API that both plugins share. It knows nothing of Singer."""
