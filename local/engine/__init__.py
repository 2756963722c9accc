"""The embedded engine: a test double over `qdrant-edge-py` that tells the truth, and is not Qdrant."""
