"""How requests are signed: a private key, or OAuth tokens and the file that keeps them."""
