"""The same requests against both stacks, measured from outside."""
