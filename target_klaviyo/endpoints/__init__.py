"""What Klaviyo's endpoints want and what they answer, one module for each kind of request."""
