"""What might make a step smaller or faster, and whether it does; nothing of it is in the pack."""
