"""Reports of Klaviyo as streams: declared in settings, read by finished days, within a budget of calls a day."""
