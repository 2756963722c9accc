"""The agent: health, status and control routes."""
