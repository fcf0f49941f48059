"""How long a training step takes, beside other ways to take one, in turns in one process."""
