"""The pages that show an account in a browser."""
