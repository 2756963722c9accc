"""What runs in the container: restore, serve, back up, hand over."""
