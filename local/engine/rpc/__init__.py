"""The embedded engine over gRPC."""
