"""The embedded engine over HTTP."""
