"""The study's figures, one module each: a function takes numbers that were computed elsewhere and returns a Figure."""
