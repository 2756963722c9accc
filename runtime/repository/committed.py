"""Which manifests were committed: told by HEAD and the names alone.

Owns that decision; reads nothing.
"""

from collections.abc import Iterable

from runtime.repository import names
from runtime.repository.head import Head


def committed(manifest_names: Iterable[str], head: Head) -> list[str]:
    """Return the manifests that HEAD's chain reaches, newest first, told by their names alone.

    Sequence numbers have no gaps and a claim does not use one up, so of several manifests with the same number the
    one of the highest epoch was committed: the others were left behind by writers that lost HEAD before they could.
    """
    best: dict[int, tuple[int, str]] = {}
    for name in manifest_names:
        identifier = names.manifest_id(name)
        if identifier is None:
            continue
        epoch, seq = names.order(identifier)
        if seq <= head.seq and epoch <= head.epoch and (seq not in best or epoch > best[seq][0]):
            best[seq] = (epoch, name)
    if head.manifest is not None:
        best[head.seq] = (head.epoch, head.manifest)
    return [best[seq][1] for seq in sorted(best, reverse=True)]
