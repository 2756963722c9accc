"""Points and vectors between Qdrant's JSON and the engine's own objects.

Checks what the engine would check only after it had logged the operation: a refused write must use no number.
"""

import struct
import uuid
from collections.abc import Sequence

import qdrant_edge as edge

from local.engine.collection_config import dense_vectors, sparse_vectors
from local.engine.refusal import Json, malformed, unsupported, wrong_input


class VectorSchema:
    """The vectors of a collection: which names exist, how long they are, which are multi or sparse."""

    def __init__(self, config: Json) -> None:
        self._sizes = {name: parameters["size"] for name, parameters in dense_vectors(config).items()}
        self._multi = {
            name for name, parameters in dense_vectors(config).items() if parameters.get("multivector_config")
        }
        self._sparse = set(sparse_vectors(config))
        self.ascending = {
            name
            for name, parameters in dense_vectors(config).items()
            if parameters["distance"] in ("Euclid", "Manhattan")
        }

    def point_vectors(self, vector: Json) -> Json:
        """Answer a point's vectors as the engine takes them, or refuse as Qdrant does."""
        if isinstance(vector, list):
            return self.vector("", vector)
        if not isinstance(vector, dict):
            raise malformed("data did not match any variant of untagged enum VectorStruct")
        return {name: self.vector(name, value) for name, value in vector.items()}

    def vector(self, name: str, value: Json) -> Json:
        """Answer one vector as the engine takes it, or refuse as Qdrant does."""
        if name in self._sparse:
            return _sparse(value)
        if name not in self._sizes:
            raise wrong_input(f"Not existing vector name error: {name}")
        if isinstance(value, dict):
            if "indices" in value:
                raise wrong_input("Conversion between sparse and regular vectors failed")
            raise unsupported("inference")
        if not isinstance(value, list) or not value:
            raise malformed("data did not match any variant of untagged enum Vector")
        rows = value if isinstance(value[0], list) else [value]
        if isinstance(value[0], list) and name not in self._multi:
            raise wrong_input("Conversion between multi and regular vectors failed")
        for row in rows:
            self._check_row(name, row)
        return rows if name in self._multi else value

    def names(self) -> list[str]:
        """Answer the names of all vectors."""
        return [*self._sizes, *self._sparse]

    def _check_row(self, name: str, row: list[Json]) -> None:
        size = self._sizes[name]
        if len(row) != size:
            where = f" for vector '{name}'" if name else ""
            raise wrong_input(f"Vector dimension error: expected dim: {size}, got {len(row)}{where}")
        if not all(type(number) in (float, int) for number in row):
            raise malformed("data did not match any variant of untagged enum Vector")


def _sparse(value: Json) -> edge.SparseVector:
    if not isinstance(value, dict) or "indices" not in value or "values" not in value:
        raise wrong_input("Conversion between sparse and regular vectors failed")
    indices, values = value["indices"], value["values"]
    if len(indices) != len(values):
        raise malformed("must be the same length as indices")
    if len(set(indices)) != len(indices):
        raise malformed("must be unique")
    return edge.SparseVector(indices, values)


def point_id(value: Json) -> int | str:
    """Answer a point's id in its canonical form, or refuse."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64:
        return value
    if isinstance(value, str):
        try:
            return str(uuid.UUID(value))
        except ValueError:
            pass
    raise malformed(f"value {value} is not a valid point ID, valid values are either an unsigned integer or a UUID")


def id_to_json(value: int | uuid.UUID | str) -> int | str:
    """Answer a point's id as it stands in JSON."""
    return value if isinstance(value, int) else str(value)


def id_order(value: int | str) -> tuple[bool, int | str]:
    """Answer what ids are sorted by: numbers first, then UUIDs."""
    return isinstance(value, str), value


def vector_to_json(vector: Json) -> Json:
    """Answer a point's vectors as they stand in JSON."""
    if isinstance(vector, dict):
        return {name: vector_to_json(value) for name, value in vector.items()}
    if isinstance(vector, edge.SparseVector):
        return {"indices": list(vector.indices), "values": shortest(vector.values)}
    if vector and isinstance(vector[0], list):
        return [shortest(row) for row in vector]
    return shortest(vector)


def shortest(numbers: Sequence[float]) -> list[float]:
    """Answer 32-bit numbers as the shortest decimals that name them, as the real server prints them."""
    answer = list(numbers)
    pending = list(range(len(answer)))
    for digits in (7, 8, 9):
        decimals = [float(f"%.{digits}g" % numbers[index]) for index in pending]
        packed = struct.unpack(f"{len(decimals)}f", struct.pack(f"{len(decimals)}f", *decimals))
        wrong = []
        for index, decimal, single in zip(pending, decimals, packed, strict=True):
            if single == numbers[index]:
                answer[index] = decimal
            else:
                wrong.append(index)
        if not wrong:
            break
        pending = wrong
    return answer
