"""The page and its hook, in a real browser, over a network that can be cut."""
