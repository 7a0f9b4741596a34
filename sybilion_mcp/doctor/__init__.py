"""`doctor`: what is configured, reachable and wrong, and what to do about it."""
