"""Search and query: from Qdrant's JSON to the engine's requests, and the shards' answers merged by score."""

from typing import Any

import qdrant_edge as edge

from local.engine.conditions import edge_filter, excluding
from local.engine.fusion import fuse
from local.engine.reads import order_by, payload_selector, record_to_json, retrieve
from local.engine.refusal import Json, malformed, not_found, unsupported, wrong_input
from local.engine.shard import Shard
from local.engine.vectors import VectorSchema, shortest

_FUSIONS = ("fusion", "rrf")


class Searcher:
    """Answers the queries of one collection."""

    def __init__(self, shards: list[Shard], schema: VectorSchema) -> None:
        self._shards = shards
        self._schema = schema

    def search(self, body: Json) -> list[Json]:
        """Answer the older kind of request, whose vector says which it means."""
        vector = body.get("vector")
        using, query = "", vector
        if isinstance(vector, dict):
            if "name" not in vector or "vector" not in vector:
                raise malformed("data did not match any variant of untagged enum NamedVectorStruct")
            using, query = vector["name"], vector["vector"]
        if query is None:
            raise malformed("missing field `vector`")
        return self.query(body | {"query": query, "using": using})

    def query(self, body: Json) -> list[Json]:
        """Answer the points that a query finds, best first."""
        limit, offset = body.get("limit") or 10, body.get("offset") or 0
        query = body.get("query")
        if isinstance(query, dict) and any(name in query for name in _FUSIONS):
            found = self._fused(body, query, limit + offset)
        else:
            found = self._scored(body, limit + offset)
        return found[offset : offset + limit]

    def _fused(self, body: Json, query: Json, limit: int) -> list[Json]:
        prefetches = body.get("prefetch") or []
        options = {key: body[key] for key in ("with_payload", "with_vector", "score_threshold") if key in body}
        lists = [
            self.query({"filter": body.get("filter")} | part | options | {"score_threshold": None})
            for part in (prefetches if isinstance(prefetches, list) else [prefetches])
        ]
        if not lists:
            raise wrong_input("Fusion queries cannot be a query without prefetch")
        return fuse(lists, query, body.get("score_threshold"))[:limit]

    def _scored(self, body: Json, limit: int) -> list[Json]:
        payload, vector = body.get("with_payload", False), body.get("with_vector", False)
        using = body.get("using") or ""
        query, own = self._query(body.get("query"), using)
        request = edge.QueryRequest(
            limit=limit,
            query=query,
            prefetches=self._prefetches(body.get("prefetch")),
            with_vector=vector,
            with_payload=payload_selector(payload),
            filter=edge_filter(excluding(body.get("filter"), own)),
            score_threshold=body.get("score_threshold"),
            params=_params(body.get("params")),
        )
        try:
            found = [point for shard in self._shards for point in shard.engine.query(request)]
        except Exception as error:  # the engine raises bare ones
            raise wrong_input(str(error)) from error
        if isinstance(query, edge.OrderBy):
            found.sort(key=lambda point: point.order_value or 0, reverse=query.direction == edge.Direction.Desc)
        elif len(self._shards) > 1:
            found.sort(key=lambda point: point.score, reverse=not self._ascending(body.get("query"), using))
        return [_scored_to_json(point, payload, vector) for point in found[:limit]]

    def _ascending(self, query: Json, using: str) -> bool:
        nearest = not isinstance(query, dict) or "nearest" in query
        return nearest and using in self._schema.ascending

    def _prefetches(self, body: Json) -> list[edge.Prefetch] | None:
        if body is None:
            return None
        answer = []
        for part in body if isinstance(body, list) else [body]:
            query, own = self._query(part.get("query"), part.get("using") or "")
            answer.append(
                edge.Prefetch(
                    limit=part.get("limit") or 10,
                    query=query,
                    prefetches=self._prefetches(part.get("prefetch")),
                    params=_params(part.get("params")),
                    filter=edge_filter(excluding(part.get("filter"), own)),
                    score_threshold=part.get("score_threshold"),
                )
            )
        return answer

    def _query(self, body: Json, using: str) -> tuple[Any, list[int | str]]:
        """Answer the engine's query and the points it was made from, which are not to be found by it."""
        if body is None:
            return None, []
        if isinstance(body, dict) and not {"indices", "nearest"} & set(body):
            return self._special(body, using)
        if isinstance(body, dict) and "nearest" in body:
            if body.get("mmr"):
                raise unsupported("mmr")
            body = body["nearest"]
        vector, own = self._example(body, using)
        return edge.Query.Nearest(vector, using or None), own

    def _special(self, body: Json, using: str) -> tuple[Any, list[int | str]]:
        if "order_by" in body:
            return order_by(body["order_by"]), []
        if "sample" in body:
            return edge.Sample.Random, []
        if any(name in body for name in _FUSIONS):
            rrf = body.get("rrf") or {}
            if body.get("fusion") == "dbsf":
                return edge.Fusion.Dbsf(), []
            return edge.Fusion.Rrf(k=rrf.get("k") or 2), []
        if "recommend" in body:
            return self._recommend(body["recommend"], using)
        raise unsupported(f"the query {sorted(body)}")

    def _recommend(self, body: Json, using: str) -> tuple[Any, list[int | str]]:
        positive, negative = (
            [self._example(example, using) for example in body.get(side) or []] for side in ("positive", "negative")
        )
        own = [identity for _, examples in (*positive, *negative) for identity in examples]
        vectors = [vector for vector, _ in positive], [vector for vector, _ in negative]
        strategy = body.get("strategy") or "average_vector"
        if strategy == "best_score":
            return edge.Query.RecommendBestScore(edge.RecommendQuery(*vectors), using or None), own
        if strategy == "sum_scores":
            return edge.Query.RecommendSumScores(edge.RecommendQuery(*vectors), using or None), own
        if not vectors[0]:
            raise wrong_input("At least one positive vector ID required with this strategy")
        target = _average(vectors[0])
        if vectors[1]:
            target = [2 * good - bad for good, bad in zip(target, _average(vectors[1]), strict=True)]
        return edge.Query.Nearest(target, using or None), own

    def _example(self, body: Json, using: str) -> tuple[Any, list[int | str]]:
        if not isinstance(body, int | str):
            return self._schema.vector(using, body), []
        found = retrieve(self._shards, {"ids": [body], "with_payload": False, "with_vector": True})
        if not found:
            raise not_found(f"No point with id {body} found")
        vectors = found[0]["vector"]
        vector = vectors.get(using) if isinstance(vectors, dict) else vectors
        if vector is None:
            raise wrong_input(f"Not existing vector name error: {using}")
        return self._schema.vector(using, vector), [found[0]["id"]]


def _average(vectors: list[list[float]]) -> list[float]:
    return [sum(column) / len(vectors) for column in zip(*vectors, strict=True)]


def _params(body: Json) -> edge.SearchParams | None:
    if not body:
        return None
    known = {key: body[key] for key in ("hnsw_ef", "exact", "indexed_only") if body.get(key) is not None}
    return edge.SearchParams(**known)


def _scored_to_json(point: Any, payload: Json, vector: Json) -> Json:
    body = record_to_json(point, payload=payload, vector=vector)
    return {"id": body.pop("id"), "version": point.version, "score": shortest([point.score])[0]} | body
