"""The bucket: its layout, its commit protocol, and the two stores behind it."""
