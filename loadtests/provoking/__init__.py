"""The inside of `make faults`: the stack brought up, its peers, and one row a fault."""
