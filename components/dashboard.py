"""The dashboard, as the JSON that Cloud Monitoring takes.

Owns which charts there are and where they stand; a pure function. Raises no alarm: see `components.alerts`.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

_WIDTH: Final = 24
_HEIGHT: Final = 16
_COLUMNS: Final = 48


def dashboard_json(title: str, service: str, *, metrics: Mapping[str, str]) -> str:
    """Return a dashboard of a service; metrics maps titles of log-based metrics to their names."""
    revision = f'resource.type="cloud_run_revision" resource.label.service_name="{service}"'
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
        {
            "title": "Warnings and errors",
            "logsPanel": {"filter": f"{revision} severity>=WARNING".replace("label.", "labels.")},
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


def _chart(title: str, metric: str, aligner: str, *, group: str = "") -> dict[str, Any]:
    aggregation: dict[str, Any] = {"alignmentPeriod": "60s", "perSeriesAligner": aligner}
    if group:
        aggregation |= {"crossSeriesReducer": "REDUCE_SUM", "groupByFields": [group]}
    query = {"timeSeriesFilter": {"filter": metric, "aggregation": aggregation}}
    return {"title": title, "xyChart": {"dataSets": [{"plotType": "LINE", "timeSeriesQuery": query}]}}
