"""Answers with silent stretches, behind a proxy that takes silence for the end."""
