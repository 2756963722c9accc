"""The REST table against the routes that the engine's sources register."""

from pathlib import Path

import pytest

from runtime.edge.effects import Effect, Write
from runtime.edge.rest_routes import READ, ROUTES, classify_rest

FACTS = Path(__file__).with_name("facts")
VERSIONS = ("1.18.3", "1.19.0")


def routes(version: str) -> list[tuple[str, str]]:
    """Return (method, path template) of every route that a version of the engine registers."""
    lines = (FACTS / f"rest-{version}.txt").read_text().splitlines()
    return [(method, path) for method, path in (line.split(" ") for line in lines)]


def filled(template: str) -> str:
    """Return a path with a value in every place of a template."""
    return template.replace("{collection_name}", "my-c").replace("{", "x").replace("}", "1")


def shape(template: str) -> tuple[str, ...]:
    """Return a template's segments with every parameter reduced to a star."""
    return tuple("*" if s.startswith("{") or s == "*" else s for s in template.split("/"))


@pytest.mark.parametrize("version", VERSIONS)
def test_every_route_of_the_engine_is_in_the_table(version: str) -> None:
    """No route that the engine registers is missing from the table."""
    table = {(route.method, shape(route.path)) for route in ROUTES}

    assert [r for r in routes(version) if (r[0], shape(r[1])) not in table] == []


def test_the_table_names_no_route_that_no_engine_has() -> None:
    """Every row is a route of one of the two versions, the dashboard apart, which is served from files."""
    known = {(method, shape(path)) for version in VERSIONS for method, path in routes(version)}

    assert [r for r in ROUTES if (r.method, shape(r.path)) not in known and "dashboard" not in r.path] == []


def test_no_path_fits_two_rows() -> None:
    """A path has one meaning per method, so the order of the rows does not matter."""
    rows = [(r.method, r.path.replace("{c}", "*").split("/")) for r in ROUTES]
    clashes = [
        (a, b)
        for i, (method, a) in enumerate(rows)
        for other, b in rows[i + 1 :]
        if method == other and len(a) == len(b) and all(x == y or "*" in (x, y) for x, y in zip(a, b, strict=True))
    ]

    assert clashes == []


@pytest.mark.parametrize("version", VERSIONS)
def test_only_what_changes_nothing_is_a_read(version: str) -> None:
    """Among the methods that change things only the known queries are reads, and no GET is a write."""
    reads = {
        path for method, path in routes(version) if method != "GET" and classify_rest(method, filled(path)) is READ
    }
    queries = ("search", "query", "scroll", "count", "facet", "recommend", "discover", "matrix", "/points", "/logs")

    assert [path for path in reads if not any(word in path for word in queries)] == []
    assert [p for m, p in routes(version) if m == "GET" and classify_rest(m, filled(p)) is not READ] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_a_write_below_a_collection_names_it(version: str) -> None:
    """The name is found in every write that is about one collection."""
    for method, path in routes(version):
        write = classify_rest(method, filled(path))
        if write is not None and "{collection_name}" in path:
            assert write.collection == "my-c", (method, path)


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("/collections/a%20b/points", "a b"),
        ("/collections/%C3%A9t%C3%A9/points?wait=true", "été"),
        ("/collections/a%2Fb/points", "a/b"),
        ("/collections/a%252Fb/points", "a%2Fb"),
        ("/collections/a+b/points", "a+b"),
        ("//collections//c///points/", "c"),
        ("/%63ollections/c/p%6Fints", "c"),
        ("/collections/points/points", "points"),
    ],
)
def test_a_name_is_read_as_the_engine_reads_it(target: str, name: str) -> None:
    """Slashes are merged, segments are decoded once and after they were split."""
    assert classify_rest("PUT", target) == Write(Effect.POINTS, name)


def test_merged_slashes_can_make_another_route() -> None:
    """The engine reads `/collections//points` as the collection named points."""
    assert classify_rest("PUT", "/collections//points") == Write(Effect.REPLACE, "points")


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("PUT", "/collections/c/points#x"),
        ("PUT", "/collections/c/../c/points"),
        ("PUT", "/Collections/c/points"),
        ("PUT", "/collections/c/points;x"),
        ("PUT", "http://host/collections/c/points"),
        ("PUT", "/collections/c/points%2Fx"),
        ("POST", "/collections/c/points/search%20"),
        ("POST", "/collections/c/points/searching"),
        ("put", "/collections/c/points"),
        ("LINK", "/"),
        ("GET", "/not-yet-known"),
        ("PUT", ""),
    ],
)
def test_what_the_table_does_not_know_is_a_write_to_anything(method: str, target: str) -> None:
    """Doubt costs a look at every collection, never a missed write."""
    assert classify_rest(method, target) == Write(Effect.UNKNOWN)
