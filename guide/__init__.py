"""What holds migration_guide.md to the code, and what `make diff` shows; it reads the apps as text only."""
