"""Readers with a patience and a reading speed: how long they stay, and what is made for them meanwhile."""
