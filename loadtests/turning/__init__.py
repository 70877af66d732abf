"""The knobs between a token and its reader, turned one by one: what `make knobs` runs and says."""
