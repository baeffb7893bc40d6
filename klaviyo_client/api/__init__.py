"""What Klaviyo's API is, without any input or output: operations, limits, pages, errors in answers."""
