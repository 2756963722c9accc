import json
import random

import pytest
import requests

from tests.image.docker import container, docker, run_in

pytestmark = pytest.mark.timeout(900)

VECTORS = {"vectors": {"size": 4, "distance": "Dot"}}
RARELY = ("--env=BACKUP_QUIET_SECONDS=60", "--env=BACKUP_MAX_AGE_SECONDS=60")
POINTS = {"points": [{"id": number, "vector": [number, 1, 2, 3]} for number in range(100)]}


def test_a_killed_container_loses_nothing_that_was_saved(image: str, bucket: str) -> None:
    """After SIGKILL a new container on an empty, read-only disk restores every point from the bucket."""
    with container(image, bucket) as first:
        first.wait_until_serving()
        first.put("/collections/books", VECTORS)
        first.put("/collections/books/points?wait=true", POINTS)
        first.wait_until(lambda: first.health()["backup"]["unsaved_writes"] == 0, "saved")
        first.kill()
    with container(image, bucket) as second:
        second.wait_until_serving()
        assert second.count("books") == 100
        assert second.health()["restore"]["points"] == 100


def test_sigterm_saves_and_ends_in_time(image: str, bucket: str) -> None:
    """SIGTERM right after a write: exit 0 within Cloud Run's ten seconds, and the write is in the next container."""
    with container(image, bucket, "--env=BACKUP_QUIET_SECONDS=5") as first:
        first.wait_until_serving()
        first.put("/collections/books", VECTORS)
        first.put("/collections/books/points?wait=true", POINTS)
        status, seconds = first.terminate()
        assert status == 0, first.log()
        assert seconds < 8
        assert '"event": "shutdown.saved"' in first.log()
    with container(image, bucket) as second:
        second.wait_until_serving()
        assert second.count("books") == 100


def test_a_container_that_is_too_small_is_refused_with_the_size_that_would_do(image: str, bucket: str) -> None:
    """Data that cannot fit in a container's memory ends its start with 2 before anything is placed, and says why."""
    with container(image, bucket) as first:
        first.wait_until_serving()
        first.put("/collections/wide", {"vectors": {"size": 2048, "distance": "Dot"}})
        for batch in range(4):
            points = [{"id": batch * 200 + number, "vector": [number / 7] * 2048} for number in range(200)]
            first.put("/collections/wide/points?wait=true", {"points": points})
        first.wait_until(lambda: first.health()["backup"]["unsaved_writes"] == 0, "saved")
        first.terminate()
    with container(image, bucket, "--memory=164m") as second:
        second.wait_until_ended()
        assert second.state()["ExitCode"] == 2, second.log()
        assert "cannot fit in the 171,966,464 bytes of memory" in second.log()
        assert "at least 1 GiB of memory" in second.log()


def test_memory_that_runs_out_loses_nothing_acknowledged(image: str, bucket: str) -> None:
    """Writes until the kernel or Qdrant has no room: whoever dies of it, a larger container holds what was taken."""
    taken = set()
    with container(image, bucket, "--memory=500m", "--memory-swap=500m", *RARELY) as small:
        small.wait_until_serving()
        small.put("/collections/books", VECTORS)
        books = "/collections/books/points"
        for number in range(600):
            text = random.Random(number).randbytes(500_000).hex()
            points = {"points": [{"id": number, "vector": [number, 1, 2, 3], "payload": {"text": text}}]}
            try:
                answer = requests.put(f"{small.url}{books}?wait=true", json=points, timeout=30)
            except requests.RequestException:
                break
            if answer.status_code != 200:
                break
            taken.add(number)
        else:
            pytest.fail("600 MB went into 500")
        ended = f"{small.state()} {small.log()[-3000:]}"
    with container(image, bucket, "--memory=4g") as large:
        large.wait_until_serving()
        body = {"limit": 1000, "with_payload": False}
        found = requests.post(f"{large.url}{books}/scroll", json=body, timeout=30).json()
        assert taken <= {each["id"] for each in found["result"]["points"]}, ended
    assert len(taken) > 20, ended


def test_any_user_will_do(image: str, bucket: str) -> None:
    """A platform may choose who it runs as; it needs nothing but a place to write."""
    with container(image, bucket, "--user=4711:4711") as instance:
        instance.wait_until_serving()
        instance.put("/collections/books", VECTORS)
        status, _ = instance.terminate()
        assert status == 0, instance.log()


def test_it_becomes_healthy_by_its_own_check(image: str, bucket: str) -> None:
    """Docker's health check passes once the instance serves."""
    with container(image, bucket, "--health-interval=1s") as instance:
        instance.wait_until_healthy()


def test_every_record_is_json_on_a_line(image: str, bucket: str) -> None:
    """Beside the engine's banner a quiet life prints nothing but JSON objects, ours with a severity and an event."""
    with container(image, bucket) as instance:
        instance.wait_until_serving()
        instance.terminate()
        lines = instance.log().splitlines()
    banner = [line for line in lines if not line.startswith("{")]
    records = [json.loads(line) for line in lines if line.startswith("{")]
    ours = [record for record in records if "event" in record]
    assert len(banner) < 20, banner
    assert {"boot.started", "writer.opened", "shutdown.finished"} <= {record["event"] for record in ours}
    assert all(record["severity"] in {"INFO", "WARNING", "ERROR"} for record in ours)


def test_keys_are_not_in_the_arguments_or_the_log(image: str, bucket: str) -> None:
    """A key in the environment appears in no process's arguments and on no line of the log."""
    key = "a-key-nobody-should-see"
    with container(image, bucket, f"--env=QDRANT_API_KEY={key}") as instance:
        instance.wait_until_serving()
        refused = requests.get(f"{instance.url}/collections", timeout=5)
        assert refused.status_code == 401
        allowed = requests.get(f"{instance.url}/collections", headers={"api-key": key}, timeout=5)
        assert allowed.status_code == 200
        assert key not in _arguments_of(instance.id)
        assert key not in instance.log()


def test_the_healthcheck_says_no_where_nothing_runs(image: str) -> None:
    """The check ends with 1 while nothing answers."""
    said = run_in(image, "sh", "-c", "python3 -m runtime.healthcheck 2>&1; echo $?")
    assert said.endswith("\n1")


def _arguments_of(identifier: str) -> str:
    """Return the arguments of every process of a container."""
    return docker("top", identifier, "-eo", "pid,args")
