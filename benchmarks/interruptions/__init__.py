"""What a training loses when it is interrupted or its process is killed, and whether it ends as if it had not been."""
