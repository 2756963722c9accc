"""Commands whose work is more than one call."""
