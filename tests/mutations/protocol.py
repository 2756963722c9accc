"""Bugs in who may write, and when a write may be acknowledged."""

from tests.mutations.mutation import Mutation, pytest

MUTATIONS = (
    Mutation(
        "acknowledges without a fresh HEAD",
        "the rule that the explicit-state check asked for",
        "runtime/lineage.py",
        (
            (
                "        if self._clock() < self._fresh_until:\n            return epoch",
                "        if epoch:\n            return epoch",
            ),
        ),
    ),
    Mutation(
        "no second confirmation before the answer",
        "a frozen writer thaws between the engine and the answer",
        "runtime/edge/passage.py",
        (("            await gate.confirm(epoch)", "            pass"),),
    ),
    Mutation(
        "a look counts from its answer instead of its question",
        "borg#9870: one clock's word about another's time",
        "runtime/lineage.py",
        (
            (
                "        self._note(found, sent)\n        return found",
                "        self._note(found, self._clock())\n        return found",
            ),
        ),
        pytest("tests/simulation/test_freshness.py"),
    ),
    Mutation(
        "a look that shows a request counts as fresh",
        "whoever asked may claim meanwhile",
        "runtime/lineage.py",
        (("        elif own_change or self.request is None:", "        else:"),),
        pytest("tests/simulation/test_freshness.py"),
    ),
    Mutation(
        "the epoch is not checked when a commit is retried",
        "etcd-backup-restore#1043: two leaders at hand-off",
        "runtime/lineage.py",
        (
            (
                "ours = found is not None and found.head.holder == self.instance and found.head.epoch == self._epoch",
                "ours = found is not None",
            ),
        ),
    ),
    Mutation(
        "status words instead of compare-and-swap",
        "velero#4503, weaviate#12550: whoever writes last is right",
        "runtime/repository/repository.py",
        (
            (
                "info = await self.store.swap(names.HEAD, data, generation)",
                (
                    "current = (await self.store.stat(names.HEAD)).generation if generation else 0\n"
                    "            info = await self.store.swap(names.HEAD, data, current)"
                ),
            ),
        ),
    ),
    Mutation(
        "a lost reply is taken for a success",
        "google-cloud-go#4453: what happened is assumed",
        "runtime/repository/repository.py",
        (
            (
                "raise Superseded(found) from error\n            raise\n",
                "raise Superseded(found) from error\n            return HeadState(head, generation + 1)\n",
            ),
        ),
    ),
    Mutation(
        "a 412 is taken for a success",
        "a retry that met its own work, they thought",
        "runtime/repository/repository.py",
        (
            (
                "                raise Superseded(found) from error\n",
                "                return found or HeadState(head, generation)\n",
            ),
        ),
    ),
    Mutation(
        "a dead writer is never replaced",
        "velero#4503: in progress for ever",
        "runtime/handover.py",
        ((" or (silent and self._was_asked(head))", ""),),
    ),
    Mutation(
        "claims with an older backup placed",
        "rqlite#1561, etcd-backup-restore#67: stale local data over newer",
        "runtime/handover.py",
        (
            (
                "        elif not self._replica.holds(state.head.manifest):",
                "        elif self._lineage.seen is None and not self._replica.holds(state.head.manifest):",
            ),
        ),
    ),
    Mutation(
        "an engine that holds more than its backup is kept for a claim",
        "litestream#781: a restored database that forgot where it was",
        "runtime/replica.py",
        (
            ("stands_for(newest) and not self._written_to\n", "stands_for(newest)\n"),
            ("self.followed and not self._written_to)\n", "self.followed)\n"),
        ),
        pytest("tests/crash_points/test_refusals.py"),
    ),
    Mutation(
        "goes on acknowledging during the last commit of a hand-over",
        "etcd-backup-restore#1047: writes between the last snapshot and the new leader",
        "runtime/instance.py",
        (
            (
                "        self.lineage.begin_yielding()\n        async with self._term.signs_of_life",
                "        async with self._term.signs_of_life",
            ),
        ),
    ),
    Mutation(
        "the shutdown's backup does not let the lineage go",
        "litestream#592: every restart waits out the lease",
        "runtime/term.py",
        (("self._writing.save(reason, clean=True, must=True)", "self._writing.save(reason, must=True)"),),
    ),
    Mutation(
        "a hand-over whose asker went away is never ended",
        "seen here, by the simulation (three seeds of ten thousand): a writer that takes no write any more",
        "runtime/instance.py",
        (("(self.lineage.request is not None or self.lineage.is_yielding)", "self.lineage.request is not None"),),
        pytest("tests/crash_points/test_withdrawals.py"),
    ),
)
