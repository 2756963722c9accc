"""A secret by its version: what the keys' owner hands to whoever reads them.

Owns the pair of names only, never a value.
"""

from dataclasses import dataclass

import pulumi


@dataclass(frozen=True)
class PinnedSecret:
    """A secret and the version that a revision reads."""

    secret: pulumi.Input[str]
    version: pulumi.Input[str]
