"""/api/metrics: the instance's figures in Prometheus' text form.

Owns the metrics' names, kinds and meanings. Every figure is read when it is asked for; nothing is kept here.
docs/operations.md lists each name, and a test holds it to that.
"""

import asyncio
from collections.abc import Iterator
from typing import Any, Final

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from runtime.api import view
from runtime.api.overview import Overview
from runtime.container import allowance, memory_used
from runtime.instance import Instance, Role
from runtime.settings import Settings

_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The handler."""

    def __init__(self, instance: Instance, settings: Settings, overview: Overview) -> None:
        self._instance = instance
        self._overview = overview
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(InstanceCollector(instance, settings, overview))

    async def scrape(self, _request: web.Request) -> web.Response:
        """Return every figure as it is now; those of the bucket as it was some seconds ago."""
        await self._overview.look(self._instance.writing.base.name)
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": _CONTENT_TYPE})


class InstanceCollector(Collector):
    """Reads an instance."""

    def __init__(self, instance: Instance, settings: Settings, overview: Overview) -> None:
        self._instance = instance
        self._settings = settings
        self._overview = overview

    def describe(self) -> Iterator[Metric]:
        """Say nothing ahead: the registry would otherwise read the instance while it is being built."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Return the families, each with its samples."""
        yield from self._role()
        yield from self._backups()
        yield from self._restore()
        yield from self._writes()
        yield from self._journal()
        yield from self._container()

    def _role(self) -> Iterator[Metric]:
        instance = self._instance
        serving, _ = view.health(instance, self._settings)
        yield _gauge("qdrant_serving", "1 while reads are answered.", int(serving))
        roles = GaugeMetricFamily("qdrant_role", "1 for the role this instance has.", labels=["role"])
        for role in Role:
            roles.add_metric([role.value], int(instance.role is role))
        yield roles
        yield _gauge("qdrant_lease_held", "1 while this instance may commit.", int(instance.lineage.is_writer))
        yield _gauge("qdrant_lease_epoch", "The epoch it writes in, or wrote in last.", instance.lineage.epoch or 0)
        yield _gauge("qdrant_fenced", "1 after another instance took over without asking.", int(instance.fenced))
        yield _gauge("qdrant_store_reachable", "0 while the bucket does not answer.", int(instance.store_error is None))

    def _backups(self) -> Iterator[Metric]:
        writing = self._instance.writing
        history = writing.history
        age = view.unsaved_age(self._instance)
        unsaved = writing.unsaved_count if self._instance.lineage.is_writer else 0
        yield _gauge("qdrant_backup_unsaved_writes", "Acknowledged writes that no backup holds.", unsaved)
        yield _gauge("qdrant_backup_age_seconds", "How old the oldest unsaved write is; 0 without one.", age or 0.0)
        yield _gauge("qdrant_backup_age_target_seconds", "How old it may get.", self._settings.backup_max_age_seconds)
        if history.recent:
            yield _gauge(
                "qdrant_backup_last_commit_timestamp_seconds",
                "When this process last committed.",
                history.recent[-1].at,
            )
        yield _counter("qdrant_backup_commits", "Backups this process committed.", history.commits)
        failures = CounterMetricFamily("qdrant_backup_failures", "Backups that failed, by kind.", labels=["kind"])
        for kind, count in sorted(history.failures.items()):
            failures.add_metric([kind], count)
        yield failures
        yield _counter("qdrant_backup_streamed_bytes", "Bytes the engine streamed for backups.", history.streamed_bytes)
        yield _counter("qdrant_backup_packed_bytes", "Bytes sent to the bucket.", history.packed_bytes)
        yield _counter("qdrant_backup_held_seconds", "Time writes were held for backups.", history.held_seconds)
        yield _counter("qdrant_backup_seconds", "Time backups took, commit included.", history.seconds)

        if (seen := self._overview.seen) is not None:
            yield _gauge("qdrant_backups", "Committed backups in the bucket.", seen.count)
            yield _gauge("qdrant_backups_unverified", "Backups newer than the last verified one.", seen.unverified)

    def _restore(self) -> Iterator[Metric]:
        restored = self._instance.restored
        if restored is None:
            return
        info = GaugeMetricFamily("qdrant_restored", "1 for what this instance started from.", labels=["backup", "how"])
        info.add_metric([restored.manifest or "", str(restored.start)], 1)
        yield info
        yield _gauge("qdrant_restored_points", "Points that were restored and counted.", restored.points)
        yield _gauge("qdrant_restored_bytes", "Bytes that were placed.", restored.bytes)
        yield _gauge("qdrant_restore_seconds", "How long placing them took.", restored.seconds)
        yield _gauge(
            "qdrant_restore_damaged", "Newer backups that were damaged and passed over.", len(restored.skipped)
        )

    def _writes(self) -> Iterator[Metric]:
        gate, instance = self._instance.gate, self._instance
        yield _counter("qdrant_writes_held", "Writes that waited for a backup's position.", gate.held_count)
        yield _counter("qdrant_writes_refused", "Writes turned away with 503.", gate.refused_count)
        unconfirmed = instance.lineage.unconfirmed_count
        yield _counter("qdrant_writes_unconfirmed", "Writes accepted with the bucket out of reach.", unconfirmed)
        yield _counter("qdrant_writes_lost", "Acknowledged writes lost to another instance.", instance.lost_writes)

    def _journal(self) -> Iterator[Metric]:
        instance = self._instance
        journal, writing = instance.recovery.journal, instance.writing
        yield _gauge(
            "qdrant_journal_kept", "1 where a write is acknowledged when the bucket has it.", int(bool(journal))
        )
        if journal is not None:
            at = journal.reached
            yield _gauge("qdrant_journal_position", "The last journal object of its epoch.", -1 if at is None else at.n)
            yield _counter("qdrant_journal_objects", "Journal objects this process put there.", journal.objects)
            yield _counter("qdrant_journal_records", "Writes it recorded.", journal.load.records)
            yield _counter("qdrant_journal_bytes", "Bytes of their bodies.", journal.load.bytes)
            yield _gauge(
                "qdrant_journal_waiting_writes", "Recorded writes the bucket does not have yet.", journal.waiting
            )
            since = journal.failing_since
            failing = 0.0 if since is None else asyncio.get_running_loop().time() - since
            yield _gauge("qdrant_journal_failing_seconds", "How long it has been taking none; 0 when it does.", failing)
            yield _gauge("qdrant_journal_replay_estimate_seconds", "What a start would take.", writing.replay_seconds)
        if instance.role is Role.STANDBY and (lag := view.lag_seconds(instance)) is not None:
            yield _gauge("qdrant_follower_lag_seconds", "How long ago it held all that the journal had.", lag)
        if (replay := instance.recovery.progress) is not None:
            yield _gauge("qdrant_replay_records", "Records to do again at the last take-over.", replay.records)
            yield _gauge("qdrant_replay_records_done", "Of these, done.", replay.records_done)
            yield _gauge("qdrant_replay_seconds", "How long it took.", replay.seconds)
            yield _gauge("qdrant_replay_records_per_second", "How fast it was.", replay.rate or 0.0)
        if (seen := self._overview.seen) is not None and seen.reachable_from is not None:
            yield _gauge(
                "qdrant_recovery_window_start_timestamp_seconds",
                "From when on any moment can be recovered.",
                seen.reachable_from,
            )

    def _container(self) -> Iterator[Metric]:
        if (used := memory_used()) is not None:
            yield _gauge("qdrant_container_memory_bytes", "Memory in use, a memory disk included.", used)
        yield _gauge("qdrant_container_memory_limit_bytes", "What it may use.", allowance().memory_bytes)


def _gauge(name: str, meaning: str, value: Any) -> Metric:
    return GaugeMetricFamily(name, meaning, value=value)


def _counter(name: str, meaning: str, value: Any) -> Metric:
    return CounterMetricFamily(name, meaning, value=value)
