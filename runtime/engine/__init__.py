"""Qdrant itself: the child process, its admin routes, its storage layout, its tar streams."""
