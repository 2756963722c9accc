"""Bringing a Qdrant elsewhere and this repository to the same state: pulled from there, or pushed to it."""
