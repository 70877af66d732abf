"""A rolling deploy: backends behind the shipped nginx, clients who keep asking, and what they were told."""
