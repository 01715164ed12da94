"""Reports of one screening: the page."""
