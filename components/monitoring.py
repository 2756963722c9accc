"""What is measured and who is told.

Owns the log-based metrics, the dashboard, the alert policies, the uptime check and the notification channels.
Deliberately knows the container's events only by the names it is given, and sends nothing without a channel.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_gcp import logging, monitoring

from components.alerts import LogAlert, MetricAlert, anchor, documentation, log_alerts, metric_alerts, revision_log
from components.choices import JobPlan, Place, Serving, Watch
from components.dashboard import dashboard_json
from components.job_alerts import MissingAlert, failed, missing, schedule_failed

_AT_MOST_EVERY: Final = "3600s"
_CLOSED_AFTER: Final = "86400s"
_ALIGNMENT: Final = "60s"
_ASKED_EVERY: Final = "300s"


@dataclass(frozen=True, kw_only=True)
class MonitoringArgs:
    """What is watched, and who is told."""

    place: Place
    serving: Serving
    plans: Sequence[JobPlan]
    watch: Watch
    url: pulumi.Input[str]


class Monitoring(pulumi.ComponentResource):
    """Metrics, dashboard and alerts of the service that writes, of its readers and its jobs."""

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("qdrant:monitoring:Monitoring", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        self._channels = [self._channel(email) for email in args.watch.emails]
        names = args.place.names
        served = {names.service: args.serving, **({names.readers: args.watch.reading} if args.watch.reading else {})}
        self._log = revision_log(*served)
        metrics = {event: self._metric(event, logged) for event, logged in args.place.container.EVENTS.items()}
        monitoring.Dashboard(
            f"{name}-dashboard",
            project=args.place.project,
            dashboard_json=dashboard_json(
                f"Qdrant {names.service}",
                list(served),
                [names.job(plan.role) for plan in args.plans],
                metrics=metrics,
            ),
            opts=self._child,
        )
        scheduled = schedule_failed(names.job("snapshot")) if args.watch.snapshots else ""
        for log_alert in log_alerts(list(served), scheduled, args.place.container.EVENTS):
            self._log_policy(log_alert)
        for service, serving in served.items():
            for alert in metric_alerts(
                service,
                min_instances=serving.min_instances,
                max_instances=serving.max_instances,
                startup_seconds=serving.startup_seconds,
            ):
                self._metric_policy(alert, of=service)
        for plan in args.plans:
            self._log_policy(failed(plan, names.job(plan.role)))
            for missed in missing(plan, names.job(plan.role), args.place.region):
                self._missing_policy(missed)
        if args.watch.uptime:
            self._uptime()
        self.register_outputs({})

    def _channel(self, email: str) -> pulumi.Output[str]:
        channel = monitoring.NotificationChannel(
            f"{self._name}-{email}",
            project=self._args.place.project,
            display_name=f"Qdrant {self._args.place.names.service}: {email}",
            type="email",
            labels={"email_address": email},
            user_labels=self._args.place.labels,
            opts=self._child,
        )
        return channel.name

    def _metric(self, event: str, logged: str) -> str:
        slug = event.replace("_", "-")
        name = f"{self._args.place.names.service}/{slug}"
        logging.Metric(
            f"{self._name}-{slug}",
            project=self._args.place.project,
            name=name,
            description=f"How often the container logged {logged}",
            filter=f'{self._log} AND jsonPayload.event="{logged}"',
            metric_descriptor=logging.MetricMetricDescriptorArgs(metric_kind="DELTA", value_type="INT64", unit="1"),
            opts=self._child,
        )
        return name

    def _log_policy(self, alert: LogAlert) -> None:
        condition = monitoring.AlertPolicyConditionArgs(
            display_name=alert.title,
            condition_matched_log=monitoring.AlertPolicyConditionConditionMatchedLogArgs(filter=alert.filter),
        )
        strategy = monitoring.AlertPolicyAlertStrategyArgs(
            auto_close=_CLOSED_AFTER,
            notification_rate_limit=monitoring.AlertPolicyAlertStrategyNotificationRateLimitArgs(period=_AT_MOST_EVERY),
        )
        self._policy(alert.title, alert.severity, alert.advice, condition, strategy)

    def _missing_policy(self, alert: MissingAlert) -> None:
        condition = monitoring.AlertPolicyConditionArgs(
            display_name=alert.title,
            condition_prometheus_query_language=monitoring.AlertPolicyConditionConditionPrometheusQueryLanguageArgs(
                query=alert.query,
                duration="0s",
                evaluation_interval=_ASKED_EVERY,
                # On the first deployment no job has ended yet, so the metric may not be known.
                disable_metric_validation=True,
            ),
        )
        strategy = monitoring.AlertPolicyAlertStrategyArgs(auto_close=_CLOSED_AFTER)
        self._policy(alert.title, alert.severity, alert.advice, condition, strategy)

    def _metric_policy(self, alert: MetricAlert, *, of: str) -> None:
        condition = monitoring.AlertPolicyConditionArgs(
            display_name=alert.title,
            condition_threshold=monitoring.AlertPolicyConditionConditionThresholdArgs(
                filter=alert.filter,
                comparison=alert.comparison,
                threshold_value=alert.bound,
                duration=f"{alert.duration_seconds}s",
                # With no instance at all there is no data either, and that is the alarm.
                evaluation_missing_data="EVALUATION_MISSING_DATA_ACTIVE" if alert.absence_counts else None,
                aggregations=[
                    monitoring.AlertPolicyConditionConditionThresholdAggregationArgs(
                        alignment_period=_ALIGNMENT,
                        per_series_aligner=alert.aligner,
                        cross_series_reducer=alert.reducer,
                    )
                ],
            ),
        )
        strategy = monitoring.AlertPolicyAlertStrategyArgs(auto_close=_CLOSED_AFTER)
        title = alert.title if of == self._args.place.names.service else f"Readers: {alert.title}"
        self._policy(title, alert.severity, alert.advice, condition, strategy)

    def _policy(
        self,
        title: str,
        severity: str,
        advice: str,
        condition: monitoring.AlertPolicyConditionArgs,
        strategy: monitoring.AlertPolicyAlertStrategyArgs,
    ) -> None:
        monitoring.AlertPolicy(
            f"{self._name}-{anchor(title)}",
            project=self._args.place.project,
            display_name=f"Qdrant {self._args.place.names.service}: {title}",
            combiner="OR",
            conditions=[condition],
            severity=severity,
            alert_strategy=strategy,
            documentation=monitoring.AlertPolicyDocumentationArgs(
                content=documentation(title, advice, self._args.watch.docs_url), mime_type="text/markdown"
            ),
            notification_channels=self._channels,
            user_labels=self._args.place.labels,
            opts=self._child,
        )

    def _uptime(self) -> None:
        args = self._args
        route = args.place.container.HEALTH_ROUTE
        host = pulumi.Output.from_input(args.url).apply(lambda url: url.removeprefix("https://"))
        check = monitoring.UptimeCheckConfig(
            f"{self._name}-uptime",
            project=args.place.project,
            display_name=f"Qdrant {args.place.names.service}",
            period="300s",
            timeout="10s",
            http_check=monitoring.UptimeCheckConfigHttpCheckArgs(
                path=route,
                port=443,
                use_ssl=True,
                validate_ssl=True,
                service_agent_authentication=(
                    None
                    if args.serving.public
                    else monitoring.UptimeCheckConfigHttpCheckServiceAgentAuthenticationArgs(type="OIDC_TOKEN")
                ),
            ),
            monitored_resource=monitoring.UptimeCheckConfigMonitoredResourceArgs(
                type="uptime_url", labels={"project_id": args.place.project, "host": host}
            ),
            user_labels=args.place.labels,
            opts=self._child,
        )
        condition = monitoring.AlertPolicyConditionArgs(
            display_name="Not healthy from outside",
            condition_threshold=monitoring.AlertPolicyConditionConditionThresholdArgs(
                filter=check.uptime_check_id.apply(
                    lambda check_id: (
                        'resource.type="uptime_url" AND metric.type="monitoring.googleapis.com/uptime_check/'
                        f'check_passed" AND metric.labels.check_id="{check_id}"'
                    )
                ),
                comparison="COMPARISON_GT",
                threshold_value=1,
                duration="600s",
                aggregations=[
                    monitoring.AlertPolicyConditionConditionThresholdAggregationArgs(
                        alignment_period="1200s",
                        per_series_aligner="ALIGN_NEXT_OLDER",
                        cross_series_reducer="REDUCE_COUNT_FALSE",
                        group_by_fields=["resource.label.*"],
                    )
                ],
            ),
        )
        advice = f"`{route}` is not 200 from two places; its JSON tells why."
        strategy = monitoring.AlertPolicyAlertStrategyArgs(auto_close=_CLOSED_AFTER)
        self._policy("Not healthy", "CRITICAL", advice, condition, strategy)
