"""Bugs in what a backup holds, and in what order it becomes one."""

from tests.mutations.mutation import Mutation, crash_points, pytest

_INCREMENT = crash_points("backup, increment", "backup, by schedule")

MUTATIONS = (
    Mutation(
        "HEAD before the manifest",
        "elasticsearch#49729: the root names what is not there yet",
        "runtime/lineage.py",
        (
            (
                "        name, sha256 = await self.repository.write_manifest(manifest)\n",
                (
                    "        from hashlib import sha256 as digest\n"
                    "        from runtime.repository import names\n"
                    "        name = names.manifest(names.backup_id(manifest.epoch, manifest.seq))\n"
                    "        sha256 = digest(manifest.encode()).hexdigest()\n"
                ),
            ),
            (
                "        self._pending = None\n        return name\n",
                "        await self.repository.write_manifest(manifest)\n        return name\n",
            ),
        ),
        _INCREMENT,
    ),
    Mutation(
        "a pack's name is used again",
        "litestream#1301: overlapping segments under one name",
        "runtime/backup.py",
        (("        return next(self._numbers)\n", "        return 0\n"),),
        _INCREMENT,
    ),
    Mutation(
        "what a failed backup looked at counts as saved",
        "clickhouse-backup#1492: a stale resume state uploads nothing",
        "runtime/writing.py",
        (
            (
                "        taken = await self._backups.take(self.base, ",
                (
                    "        before, self.base = self.base, replace(self.base, written=self._gate.written())\n"
                    "        taken = await self._backups.take(before, "
                ),
            ),
        ),
    ),
    Mutation(
        "a commit that failed half-way is not finished first",
        "sequence numbers with gaps: nobody knows what was committed",
        "runtime/writing.py",
        (("            await self._finish_pending()\n", ""),),
    ),
    Mutation(
        "a clean collection keeps no entry",
        "clickhouse-backup#1492: an empty backup listed as good",
        "runtime/composition.py",
        (("            collections[name] = parent.collections[name]\n", "            continue\n"),),
        _INCREMENT,
    ),
    Mutation(
        "a changed file of the same size counts as the parent's",
        "litestream#1164: restored without an error, and corrupt",
        "runtime/repository/packs.py",
        (("            if digest.hexdigest() == known.sha256:", "            if known.sha256:"),),
        pytest("tests/repository/test_packs.py"),
    ),
    Mutation(
        "a stream that is cut becomes a backup",
        "litestream#1263, weaviate#12463: closing after an error publishes a cut object",
        "runtime/tar.py",
        (
            ('                raise IntegrityError("the tar stream ends inside a file")', "                return"),
            ('raise IntegrityError("the tar stream is cut short")', 'return data.ljust(size, b"\\0")'),
        ),
        pytest("tests/core/test_tar.py"),
    ),
    Mutation(
        "the `files/` level is left in",
        "Qdrant deletes the segment, starts, and is empty",
        "runtime/engine/storage.py",
        (
            ('    return "/".join((*parts[:2], *parts[3:]))', "    return stream_path"),
            (
                '    return {f"segments/{segment}/{name}" for name in versions}',
                '    return {f"segments/{segment}/files/{name}" for name in versions}',
            ),
        ),
        crash_points("start with a restore"),
    ),
)
