"""The SDK's streams: where rows become Singer messages and bookmarks move."""
