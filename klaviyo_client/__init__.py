"""What Klaviyo knows about itself: the client both plugins share. Knows nothing of Singer."""
