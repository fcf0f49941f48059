"""What a person drags into a graph: one file per node."""
