"""What Eomer's jobs say, of one series or of many."""
