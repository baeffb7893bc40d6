"""Reports of Klaviyo as streams: declared in settings, read by finished days, within a daily limit of calls."""
