"""Bugs in the journal: what is acknowledged, in which order it is kept, and who may still add to it."""

from tests.mutations.mutation import Mutation, pytest

_SIMULATION = ("-m", "tests.simulation", "0", "200")
_RECORDER = pytest("tests/journal/test_recorder.py")

MUTATIONS = (
    Mutation(
        "acknowledged before it is durable",
        "litestream loses a second",
        "runtime/edge/passage.py",
        (("    if stored is not None:\n        await stored\n", ""),),
        _SIMULATION,
    ),
    Mutation(
        "an object is acknowledged over a hole",
        "the explicit-state check: lost within eight steps",
        "runtime/journal/writer.py",
        (
            (
                "        while self._under_way and (first := next(iter(self._under_way))) in self._stored:\n",
                "        while self._stored and (first := next(iter(self._stored))) in self._under_way:\n",
            ),
        ),
        pytest("tests/journal/test_writer.py"),
    ),
    Mutation(
        "a reader of the journal skips a hole",
        "the explicit-state check: what the seal cuts off is shown, or done again",
        "runtime/journal/tail.py",
        (
            (
                "                if number != at:\n                    break\n                at += 1\n",
                "                at = number + 1\n",
            ),
        ),
        pytest("tests/journal/test_tail.py"),
    ),
    Mutation(
        "the seal is put behind the highest object",
        "a hole below it is filled later, and acknowledged",
        "runtime/journal/tail.py",
        (
            (
                "            await self._refuse_hole(position.epoch, at)\n",
                (
                    "            behind = JournalPosition(position.epoch, at)\n"
                    "            async for number in self._repository.journal_after(behind):\n"
                    "                at = number + 1\n"
                ),
            ),
        ),
        pytest("tests/journal/test_tail.py"),
    ),
    Mutation(
        "records are queued in the order of their answers",
        "sorting in replay is not enough: what came later may be durable alone",
        "runtime/journal/order.py",
        (("            if not self._follows(held.operation) and any(", "            if not held and any("),),
        _SIMULATION,
    ),
    Mutation(
        "a refused write takes the place of the next number",
        "seen here: the next but one was let go first",
        "runtime/journal/order.py",
        (
            (
                "            self._last = self._last if held.operation is None else held.operation\n",
                "            self._last = (self._last or 0) + 1 if held.operation is None else held.operation\n",
            ),
        ),
        pytest("tests/journal/test_sequence.py"),
    ),
    Mutation(
        "numbers go on when a collection is made again",
        "seen here: its second write was let go before its first",
        "runtime/journal/recorder.py",
        (("        self._forget_idle()  # what was made anew", "        # what was made anew"),),
        _RECORDER,
    ),
    Mutation(
        "opens without a seal",
        "the explicit-state check: a frozen writer goes on acknowledging",
        "runtime/journal/tail.py",
        (
            (
                (
                    "                await self._repository.append_journal(\n"
                    '                    JournalObject(JournalPosition(position.epoch, at), self._lineage, "seal", '
                    "self._reader)\n"
                    "                )\n"
                ),
                "                await asyncio.sleep(0)\n",
            ),
        ),
        _SIMULATION,
    ),
    Mutation(
        "a place that is taken counts as one's own",
        "a retry that met its own work, they thought",
        "runtime/journal/writer.py",
        (("                self._sealed(epoch, number)\n                return\n", "                break\n"),),
        _SIMULATION,
    ),
    Mutation(
        "a backup is committed ahead of the journal",
        "the explicit-state check: older backups and readers come to another state",
        "runtime/writing.py",
        (("                await self._journal.durable_to(taken.manifest.journal)", "                pass"),),
        pytest("tests/journal/test_backups.py"),
    ),
    Mutation(
        "an object may be far ahead of a hole",
        "a lost object cannot be told from one that never was",
        "runtime/journal/writer.py",
        (
            ("            self._slots.release()  # not before", "            # not before"),
            ("        self.objects += 1\n        self._stored", "        self._slots.release()\n        self._stored"),
        ),
        pytest("tests/journal/test_writer.py"),
    ),
    Mutation(
        "what cannot be done again leaves no record",
        "the rest is done again over another state",
        "runtime/journal/recorder.py",
        (
            (
                "        await self.journal.durable(self.journal.append_opaque(Opaque(what, self._head_seq())))\n",
                "",
            ),
        ),
        _RECORDER,
    ),
    Mutation(
        "an opaque change is recorded while a backup is under way",
        "the explicit-state check: a backup from before it looks like the one that holds it",
        "runtime/journal/recorder.py",
        (
            (
                (
                    "        save = await backup.enter_async_context(self._alone())\n"
                    "        await self.journal.durable(self.journal.append_opaque(Opaque(what, self._head_seq())))\n"
                ),
                (
                    "        await self.journal.durable(self.journal.append_opaque(Opaque(what, self._head_seq())))\n"
                    "        save = await backup.enter_async_context(self._alone())\n"
                ),
            ),
        ),
        _RECORDER,
    ),
    Mutation(
        "others go on before an unanswered write is in a backup",
        "an opaque write spreads",
        "runtime/journal/recorder.py",
        (("                if self.settling.is_under_way:\n", "                if self.settling is None:\n"),),
        _RECORDER,
    ),
    Mutation(
        "a denied write is recorded to be refused again",
        "seen here: a key that only reads deleted a collection at the next start",
        "runtime/journal/recorder.py",
        (
            (
                "        if outcome is Outcome.REFUSED and recordable:",
                "        if outcome in {Outcome.REFUSED, Outcome.DENIED} and recordable:",
            ),
        ),
        _RECORDER,
    ),
    Mutation(
        "a backup between a claim and the replay",
        "seen here, by the simulation: what the journal held was cut off",
        "runtime/writing.py",
        (
            (
                "        if self._lineage.epoch is None or self._epoch != self._lineage.epoch:\n",
                "        if self._lineage.epoch is None:\n",
            ),
        ),
        pytest("tests/journal/test_backups.py"),
    ),
    Mutation(
        "a follower passes over what is not decided yet",
        "a standby that lacks what the next backup has",
        "runtime/follower.py",
        (
            ('        if found.kind != "seal":\n            return False\n', ""),
            ("            return False\n        found", "            return True\n        found"),
        ),
        pytest("tests/journal/test_follower.py"),
    ),
    Mutation(
        "a backup is taken between a write without an answer and what the journal says of it",
        "seen here, by the simulation (seed 4593 of its day): a follower passed over what a backup held",
        "runtime/backup.py",
        (("(not quiet or (self._gate.is_unsettled and not settles))", "not quiet"),),
        pytest("tests/journal/test_unsettled.py"),
    ),
)
