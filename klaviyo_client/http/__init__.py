"""One request on its way: when it may go, how it is sent, whether it is sent again."""
