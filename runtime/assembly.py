"""An instance made of real parts: the one place that knows how they are joined."""

import uuid
from contextlib import AbstractAsyncContextManager

from runtime.backup import Backups
from runtime.clock import suspended_clock
from runtime.edge.edge import Edge
from runtime.engine.process import Engine
from runtime.follower import Follower
from runtime.instance import Instance
from runtime.journal.recorder import JournalRecorder
from runtime.journal.sends import Sends
from runtime.journal.writer import Journal
from runtime.lineage import Lineage
from runtime.recovery import Recovery
from runtime.replica import Replica
from runtime.repository.repository import Repository
from runtime.settings import Settings
from runtime.writing import Writing


def build(settings: Settings, repository: Repository, edge: Edge) -> Instance:
    """Return an instance of real parts."""
    name = uuid.uuid4().hex[:12]
    engine = Engine(settings)
    gate = edge.gate
    journal = (
        Journal(
            repository,
            linger_seconds=settings.journal_linger_milliseconds / 1000,
            patience_seconds=settings.handover_timeout_seconds,
        )
        if settings.keeps_journal
        else None
    )
    lineage = Lineage(
        repository,
        name,
        timeout_seconds=settings.handover_timeout_seconds,
        outage=settings.store_outage,
        clock=suspended_clock,
    )
    backups = Backups(settings, engine, gate, repository, journal=journal.position if journal else None)
    writing = Writing(settings, gate, lineage, backups, journal)
    recorder = None
    if journal is not None:
        recorder = JournalRecorder(
            journal,
            engine.admin,
            settings.storage_dir,
            alone=writing.alone,
            head_seq=lineage.head_seq,
            only=settings.collections,
        )
        gate.recorder = recorder
    replica = Replica(settings, engine, repository, edge)

    def sender() -> AbstractAsyncContextManager[Sends]:
        from runtime.journal.sender import Sender  # noqa: PLC0415 - slow, and not before there is something to send

        return Sender(settings)

    return Instance(
        settings,
        name=name,
        gate=gate,
        lineage=lineage,
        replica=replica,
        writing=writing,
        recovery=Recovery(gate, lineage, sender, journal, recorder),
        follower=Follower(repository, replica, name, sender=sender, note=gate.note),
        clock=suspended_clock,
    )
