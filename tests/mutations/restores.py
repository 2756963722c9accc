"""Bugs in what is restored, and in what is deleted."""

from tests.mutations.mutation import Mutation, crash_points, pytest

_REFUSALS = pytest("tests/crash_points/test_refusals.py")

MUTATIONS = (
    Mutation(
        "starts empty when no backup can be restored",
        "rill#9894, etcd-backup-restore#67: boots empty after a failed restore, then overwrites the good backup",
        "runtime/selection.py",
        (
            (
                '    raise IntegrityError(\n        f"none of the',
                '    yield Choice(None, None)\n    raise IntegrityError(\n        f"none of the',
            ),
        ),
        _REFUSALS,
    ),
    Mutation(
        "a 403 is read as no backup",
        "terraform state, restic: permission denied looks like an empty repository",
        "runtime/repository/repository.py",
        (
            (
                "        except ObjectMissing:\n            return None\n",
                "        except (ObjectMissing, StoreDenied):\n            return None\n",
            ),
            ("PreconditionFailed, StoreUnreachable\n", "PreconditionFailed, StoreDenied, StoreUnreachable\n"),
        ),
        _REFUSALS,
    ),
    Mutation(
        "no HEAD means a new lineage, whatever else is there",
        "pgBackRest#420: a re-created cluster into the old one's stanza",
        "runtime/selection.py",
        (("        await _refuse_without_head(repository)\n", "        pass\n"),),
        _REFUSALS,
    ),
    Mutation(
        "a file's hash is not compared",
        "etcd-backup-restore#749: found only when it was needed",
        "runtime/run_sink.py",
        (("        if self._digest.hexdigest() != entry.sha256:", "        if not self._digest:"),),
        crash_points("start with a fallback"),
    ),
    Mutation(
        "what the engine holds after a restore is not compared",
        "milvus-backup#1036: success, then unusable",
        "runtime/replica.py",
        (("        if wrong:\n", "        if wrong is None:\n"),),
        _REFUSALS,
    ),
    Mutation(
        "files that lie there are taken for right",
        "rqlite#1561: local data of another time",
        "runtime/local_files.py",
        (("        return digest.hexdigest() == entry.sha256 and all", "        return True or all"),),
        _REFUSALS,
    ),
    Mutation(
        "a manifest that was never committed is restored",
        "clickhouse-backup#1518: an interrupted upload listed as good",
        "runtime/repository/committed.py",
        (("        if seq <= head.seq and epoch <= head.epoch and (", "        if ("),),
        _REFUSALS,
    ),
    Mutation(
        "of two manifests with one number the first is taken",
        "etcd-backup-restore#1043: overlapping deltas at a hand-off",
        "runtime/repository/committed.py",
        (("(seq not in best or epoch > best[seq][0])", "seq not in best"),),
        _REFUSALS,
    ),
    Mutation(
        "the newest backup is the one with the newest clock",
        "wal-g#694, #1770, spilo#576: LATEST by modification time",
        "runtime/repository/committed.py",
        (
            (
                "    return [best[seq][1] for seq in sorted(best, reverse=True)]",
                "    return [best[seq][1] for seq in sorted(best)]",
            ),
        ),
        crash_points("start with a fallback"),
    ),
    Mutation(
        "prunes while an instance is restoring",
        "litestream#1307, mono#6267: retention deletes what a running restore has planned",
        "runtime/prune.py",
        (("    if head.requested_by is not None:", "    if head.requested_by is head:"),),
        _REFUSALS,
    ),
    Mutation(
        "packs are deleted before the manifests that name them",
        "restic#2452: a crash leaves a backup without its data",
        "runtime/prune.py",
        (
            ("        await deleting.all(packs[name] for name in decided.packs)\n", ""),
            (
                "        await deleting.all(manifests[name] for name in decided.orphans)\n",
                (
                    "        await deleting.all(packs[name] for name in decided.packs)\n"
                    "        await deleting.all(manifests[name] for name in decided.orphans)\n"
                ),
            ),
        ),
        crash_points("prune"),
    ),
)
