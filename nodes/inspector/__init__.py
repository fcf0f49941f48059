"""What Norm Inspector finds out, says and draws."""
