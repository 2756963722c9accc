"""The walks of docs/hybrid.md, by the commands that stand there."""

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.engines import Engine
from tests.support.instances import Fleet, Instance, eventually, free_ports
from tests.support.wire import Wire
from tests.sync.conftest import alias, aliases, everything, make_mixed, make_plain, plain_point, put

PAGE = Path(__file__).parents[2] / "docs" / "hybrid.md"
NIGHT = "Each night: Qdrant Cloud to Cloud Run"
GROWING = "Growing out: Cloud Run to Qdrant Cloud, in an afternoon"
BACK = "Coming back"

Walk = Callable[..., Any]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Run instances on one bucket, an idle writer handing over at once."""
    with Fleet(tmp_path, HANDOVER_IDLE_SECONDS="0") as made:
        yield made


@pytest.fixture
def walk(fleet: Fleet, line: Wire, tmp_path: Path) -> Walk:
    """Give a function that runs the next command of a walk, and fails unless it ends as it should."""
    waiting: dict[str, list[str]] = {}

    def step(heading: str, *, codes: tuple[int, ...] = (0,), instance: Instance | None = None) -> str:
        commands = waiting.setdefault(heading, of_page(heading))
        ports = dict(zip(("QDRANT_HTTP_PORT", "QDRANT_GRPC_PORT"), map(str, free_ports(2)), strict=True))
        settings = {
            **ports,
            "SOURCE_URL": line.url,
            "TARGET_URL": line.url,
            "QDRANT_STORAGE_DIR": str(tmp_path / "job" / "storage"),
            "HANDOVER_TIMEOUT_SECONDS": "1",
            **({"AGENT_PORT": instance.settings["AGENT_PORT"]} if instance else {}),
        }
        ran = fleet.command(*shlex.split(commands.pop(0).removeprefix("python -m runtime ")), **settings)
        assert ran.returncode in codes, ran.stdout + ran.stderr
        return ran.stdout + ran.stderr

    return step


def of_page(heading: str) -> list[str]:
    """Return the commands below a heading of the page, in order."""
    section = PAGE.read_text().split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"(?m)^python -m runtime .*$", section)


def test_every_command_of_the_page_is_walked() -> None:
    """None stands there that no walk below runs, each in the order of the page."""
    told = re.findall(r"(?m)^python -m runtime .*$", PAGE.read_text())
    assert told == [*of_page(NIGHT), *of_page(GROWING), *of_page(BACK)]
    assert [len(of_page(heading)) for heading in (NIGHT, GROWING, BACK)] == [3, 4, 1]


def serves(instance: Instance, engine: Engine) -> bool:
    """Whether an instance answers with exactly what an engine holds."""
    answer = instance.ask("GET", "/collections")
    if answer.status_code != 200:  # its engine is being started on the new state
        return False
    names = sorted(entry["name"] for entry in answer.json()["result"]["collections"])
    if names != sorted(everything(engine)):
        return False
    return all(points(instance, name) == engine.points(name) for name in names)


def points(instance: Instance, name: str) -> dict[int | str, Any]:
    """Return every point of a collection that an instance serves."""
    asked = {"limit": 10_000, "with_vector": True, "with_payload": True}
    found = instance.result("POST", f"/collections/{name}/points/scroll", asked)["points"]
    return {point["id"]: point for point in found}


def write(instance: Instance, name: str, written: list[dict[str, Any]]) -> None:
    """Write points through an instance."""
    instance.result("PUT", f"/collections/{name}/points?wait=true", {"points": written})


def test_each_night_the_instance_has_what_the_cluster_had(elsewhere: Engine, fleet: Fleet, walk: Walk) -> None:
    """Pulled, restored at a start, taken up live the next night; writes of its own are a conflict, and stay."""
    make_mixed(elsewhere, "mixed", range(40))
    make_plain(elsewhere, "plain", range(10))
    alias(elsewhere, "current", "plain")
    walk(NIGHT)
    walk(NIGHT)
    instance = fleet.start()
    assert serves(instance, elsewhere)

    put(elsewhere, "plain", [plain_point(3, 1), plain_point(99)])
    walk(NIGHT)
    eventually(lambda: serves(instance, elsewhere), 90, "the instance serves the second night")
    assert instance.process.poll() is None

    write(instance, "plain", [plain_point(7, 5)])
    instance.save()
    put(elsewhere, "plain", [plain_point(8, 6)])
    told = fleet.command(
        *shlex.split("sync pull"),
        SOURCE_URL=elsewhere.url,
        QDRANT_STORAGE_DIR=str(fleet.folder / "job" / "storage"),
        HANDOVER_TIMEOUT_SECONDS="1",
    )
    assert told.returncode == 1
    assert points(instance, "plain")[7]["payload"]["v"] == 5


def test_growing_out_takes_an_afternoon_and_no_point(elsewhere: Engine, fleet: Fleet, walk: Walk) -> None:
    """Pushed while it is written to, the rest pushed when the writes have stopped: the cluster holds all of it."""
    instance = fleet.start()
    instance.result("PUT", "/collections/plain", {"vectors": {"size": 2, "distance": "Dot"}})
    write(instance, "plain", [plain_point(n) for n in range(300)])
    instance.save()
    walk(GROWING)
    walk(GROWING)
    assert len(elsewhere.points("plain")) == 300

    write(instance, "plain", [plain_point(n, 2) for n in range(290, 320)])
    instance.result("POST", "/collections/plain/points/delete?wait=true", {"points": [1, 2]})
    action = {"create_alias": {"collection_name": "plain", "alias_name": "current"}}
    instance.result("POST", "/collections/aliases", {"actions": [action]})
    walk(GROWING, codes=(0, 3), instance=instance)  # it may have saved by itself
    walk(GROWING)
    assert serves(instance, elsewhere)
    assert aliases(elsewhere) == {"current": "plain"}


def test_coming_back_brings_what_was_written_there(elsewhere: Engine, fleet: Fleet, walk: Walk) -> None:
    """After a push the cluster is written to; the instance that still runs takes that up without a restart."""
    instance = fleet.start()
    instance.result("PUT", "/collections/plain", {"vectors": {"size": 2, "distance": "Dot"}})
    write(instance, "plain", [plain_point(n) for n in range(50)])
    instance.save()
    walk(GROWING)
    walk(GROWING)

    put(elsewhere, "plain", [plain_point(n, 3) for n in range(40, 60)])
    make_mixed(elsewhere, "mixed", range(20))
    walk(BACK)
    eventually(lambda: serves(instance, elsewhere), 90, "the instance serves what was written to the cluster")
    before = set((fleet.bucket / "manifests").iterdir())
    write(instance, "plain", [plain_point(0, 9)])
    instance.save()  # unless it has done so by itself
    assert set((fleet.bucket / "manifests").iterdir()) > before
