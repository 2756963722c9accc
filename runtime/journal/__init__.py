"""The write journal: a write is acknowledged when the bucket holds it."""
