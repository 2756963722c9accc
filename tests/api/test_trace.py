from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from runtime import trace
from tests.api.agent import agent
from tests.edge.stage import in_loop

ID = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (f"{ID}/1;o=1", (f"projects/p/traces/{ID}", "0000000000000001")),
        (f"{ID}/18446744073709551615", (f"projects/p/traces/{ID}", "f" * 16)),
        (ID, (f"projects/p/traces/{ID}", None)),
        (f"{ID}/99999999999999999999", (f"projects/p/traces/{ID}", None)),
        (f"{ID}/x", (None, None)),
        (ID.upper(), (None, None)),
        (f"{ID}\n", (None, None)),
        ("", (None, None)),
    ],
)
def test_googles_header_names_the_trace(header: str, found: tuple[str | None, str | None]) -> None:
    """Trace and span are named as Cloud Logging wants them; a header in another form names none."""
    context = trace.context({"X-Cloud-Trace-Context": header}, "p")

    assert (context.get(trace.TRACE_KEY), context.get(trace.SPAN_KEY)) == found
    assert trace.context({"X-Cloud-Trace-Context": header}, None) == {}


@given(request=st.text(), header=st.text())
def test_nothing_but_the_known_forms_gets_into_a_line(request: str, header: str) -> None:
    """Whatever a client sends, what reaches the log is short and plain."""
    for value in trace.context({"X-Request-Id": request, "X-Cloud-Trace-Context": header}, "p").values():
        assert value.isascii()
        assert value.isprintable()
        assert len(value) <= 128


@in_loop
async def test_a_line_says_which_request_it_belongs_to(tmp_path: Path) -> None:
    """What is logged on a request's way carries its id and its trace."""
    headers = {"x_request_id": "my-request", "x_cloud_trace_context": f"{ID}/1;o=1"}
    async with agent(tmp_path, QDRANT_API_KEY="k", GOOGLE_CLOUD_PROJECT="p") as asked:
        with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
            await asked.status("POST", "/api/snapshot", **headers)
            await asked.status("POST", "/api/snapshot")
    with_ids, without = (line for line in lines if line["event"] == "access.denied")
    assert with_ids["request_id"] == "my-request"
    assert with_ids[trace.TRACE_KEY] == f"projects/p/traces/{ID}"
    assert "request_id" not in without
