"""Clients who read nothing: who holds them, what is held for them, and by whom."""
