"""Versions of a directory tree in a store: what is in them, how they are committed, how they are brought back."""
