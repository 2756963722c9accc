"""Checks of a live deployment, against the outputs of its stack."""
