"""Training one run: the loop, its optimiser, its random streams and its checkpoints."""
