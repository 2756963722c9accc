"""Several result lists made into one, by rank or by distribution of scores, as Qdrant does it."""

from collections import defaultdict
from math import sqrt

from local.engine.refusal import Json


def fuse(lists: list[list[Json]], query: Json, threshold: float | None) -> list[Json]:
    """Answer the points of all `lists` with their joint scores, best first."""
    scores: dict[int | str, float] = defaultdict(float)
    points: dict[int | str, Json] = {}
    constant = (query.get("rrf") or {}).get("k") or 2
    weights = (query.get("rrf") or {}).get("weights") or [1.0] * len(lists)
    for found, weight in zip(lists, weights, strict=True):
        by_rank = [1 / (constant + rank) for rank in range(len(found))]
        normalized = _normalized([point["score"] for point in found])
        for point, score in zip(found, normalized if query.get("fusion") == "dbsf" else by_rank, strict=True):
            scores[point["id"]] += weight * score
            points.setdefault(point["id"], point)
    fused = [point | {"score": scores[identity]} for identity, point in points.items()]
    fused.sort(key=lambda point: -point["score"])
    return [point for point in fused if threshold is None or point["score"] >= threshold]


def _normalized(scores: list[float]) -> list[float]:
    if len(scores) < 2:
        return [0.5] * len(scores)
    mean = sum(scores) / len(scores)
    deviation = sqrt(sum((score - mean) ** 2 for score in scores) / (len(scores) - 1))
    low, high = mean - 3 * deviation, mean + 3 * deviation
    return [0.5 if high == low else (score - low) / (high - low) for score in scores]
