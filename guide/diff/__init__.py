"""The page of `make diff`: both apps side by side, with the guide and the ledger of differences."""
