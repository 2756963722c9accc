"""The edge: one port for REST and gRPC, reads straight to Qdrant, writes through the gate."""
