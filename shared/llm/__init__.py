"""One adapter layer for every provider, in a sync and an async form."""
