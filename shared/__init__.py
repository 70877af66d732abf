"""What survives the migration unchanged: the models and the LLM adapter layer of both stacks."""
