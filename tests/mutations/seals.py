"""Bugs in what ends a journal: the seal that a claimer puts, and what retention leaves of it."""

from tests.mutations.mutation import Mutation, crash_points, pytest

_RETENTION = pytest("tests/recovery/test_retention_of_the_journal.py")

MUTATIONS = (
    Mutation(
        "the seal is put while the gate opens already",
        "the explicit-state check: opens before the seals",
        "runtime/journal/tail.py",
        (
            (
                (
                    "                await self._repository.append_journal(\n"
                    '                    JournalObject(JournalPosition(position.epoch, at), self._lineage, "seal", '
                    "self._reader)\n"
                    "                )\n"
                ),
                (
                    "                asyncio.create_task(self._repository.append_journal(\n"
                    '                    JournalObject(JournalPosition(position.epoch, at), self._lineage, "seal", '
                    "self._reader)\n"
                    "                ))\n"
                ),
            ),
        ),
        crash_points("journal, claim over a frozen writer", fault="fails before"),
    ),
    Mutation(
        "a seal in the middle is believed",
        "seen here: everything behind it was lost without a word",
        "runtime/journal/tail.py",
        (("replace(seal, n=seal.n + MOST_UNDER_WAY - 1)", "replace(seal, n=seal.n + 10**9)"),),
        pytest("tests/journal/test_tail.py"),
    ),
    Mutation(
        "the journal that an older kept backup needs is pruned",
        "restic#2452: what is left leads nowhere",
        "runtime/repository/journal_retention.py",
        (("        first = min(known) if", "        first = max(known) if"),),
        crash_points("journal, prune", fault="crashes after"),
    ),
    Mutation(
        "the journal of the recovery window is pruned",
        "a moment that was promised is gone",
        "runtime/repository/retention.py",
        (("if entry.name in {base.name, verified} or (", "if entry.name in {verified, staying[0].name} or ("),),
        _RETENTION,
    ),
    Mutation(
        "seals are pruned with their epoch",
        "the explicit-state check: a thawed writer finds the place free",
        "runtime/repository/journal_retention.py",
        (("        if at.n in seals or at.epoch > first.epoch:", "        if at.epoch > first.epoch:"),),
        _RETENTION,
    ),
)
