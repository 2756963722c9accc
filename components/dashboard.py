"""The dashboard, as the JSON that Cloud Monitoring takes.

Owns which charts there are and where they stand; a pure function. Raises no alarm: see `components.alerts`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from components.alerts import job_log, revision_log

_WIDTH: Final = 24
_HEIGHT: Final = 16
_COLUMNS: Final = 48


def dashboard_json(title: str, services: Sequence[str], jobs: Sequence[str], *, metrics: Mapping[str, str]) -> str:
    """Return a dashboard of services and jobs; metrics maps titles of log-based metrics to their names."""
    revision = f'resource.type="cloud_run_revision" {_one_of("service_name", services)}'
    job = f'resource.type="cloud_run_job" {_one_of("job_name", jobs)}'
    ended = f'{job} metric.type="run.googleapis.com/job/completed_execution_count"'
    run = f'{revision} metric.type="run.googleapis.com'
    charts = [
        _chart(
            "Requests by class",
            f'{run}/request_count"',
            "ALIGN_RATE",
            group="metric.label.response_code_class",
        ),
        _chart("Latency, 95th percentile (ms)", f'{run}/request_latencies"', "ALIGN_PERCENTILE_95"),
        _chart("Memory used", f'{run}/container/memory/utilizations"', "ALIGN_PERCENTILE_99"),
        _chart("CPU used", f'{run}/container/cpu/utilizations"', "ALIGN_PERCENTILE_99"),
        _chart("Instances", f'{run}/container/instance_count"', "ALIGN_MAX", group="metric.label.state"),
        _chart("Start (ms)", f'{run}/container/startup_latencies"', "ALIGN_PERCENTILE_99"),
        *(
            _chart(text, f'{revision} metric.type="logging.googleapis.com/user/{name}"', "ALIGN_DELTA")
            for text, name in metrics.items()
        ),
        *(
            _chart(
                f"Jobs that {ended_so}",
                f'{ended} metric.label.result="{ended_so}"',
                "ALIGN_DELTA",
                group="resource.label.job_name",
                period="3600s",
            )
            for ended_so in ("succeeded", "failed")
        ),
        {
            "title": "Warnings and errors",
            "logsPanel": {"filter": f"(({revision_log(*services)}) OR ({job_log(*jobs)})) AND severity>=WARNING"},
        },
    ]
    tiles = [
        {
            "xPos": index * _WIDTH % _COLUMNS,
            "yPos": index * _WIDTH // _COLUMNS * _HEIGHT,
            "width": _WIDTH,
            "height": _HEIGHT,
            "widget": chart,
        }
        for index, chart in enumerate(charts)
    ]
    layout = {"displayName": title, "mosaicLayout": {"columns": _COLUMNS, "tiles": tiles}}
    return json.dumps(layout, sort_keys=True)


def _one_of(label: str, names: Sequence[str]) -> str:
    """Return the filter on a label of the resource, in the form of metrics."""
    if len(names) == 1:
        return f'resource.label.{label}="{names[0]}"'
    return f"resource.label.{label}=one_of({', '.join(json.dumps(name) for name in names)})"


def _chart(title: str, metric: str, aligner: str, *, group: str = "", period: str = "60s") -> dict[str, Any]:
    aggregation: dict[str, Any] = {"alignmentPeriod": period, "perSeriesAligner": aligner}
    if group:
        aggregation |= {"crossSeriesReducer": "REDUCE_SUM", "groupByFields": [group]}
    query = {"timeSeriesFilter": {"filter": metric, "aggregation": aggregation}}
    return {"title": title, "xyChart": {"dataSets": [{"plotType": "LINE", "timeSeriesQuery": query}]}}
