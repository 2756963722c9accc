"""Which shard a point belongs to: Qdrant's own ring, so that data of a real server is found where it lies.

Owns the hash and the ring; knows nothing of collections.
"""

import bisect
import functools
import struct
import uuid

_MASK = (1 << 64) - 1
_NODES_PER_SHARD = 100


def _rotate(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (64 - bits))) & _MASK


def _rounds(state: list[int], count: int) -> None:
    v0, v1, v2, v3 = state
    for _ in range(count):
        v0 = (v0 + v1) & _MASK
        v1 = _rotate(v1, 13) ^ v0
        v0 = _rotate(v0, 32)
        v2 = (v2 + v3) & _MASK
        v3 = _rotate(v3, 16) ^ v2
        v0 = (v0 + v3) & _MASK
        v3 = _rotate(v3, 21) ^ v0
        v2 = (v2 + v1) & _MASK
        v1 = _rotate(v1, 17) ^ v2
        v2 = _rotate(v2, 32)
    state[:] = [v0, v1, v2, v3]


def siphash(data: bytes) -> int:
    """Answer SipHash-2-4 of `data` with a key of zeros."""
    state = [0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573]
    whole = len(data) - len(data) % 8
    last = int.from_bytes(data[whole:], "little") | (len(data) & 0xFF) << 56
    for (word,) in (*struct.iter_unpack("<Q", data[:whole]), (last,)):
        state[3] ^= word
        _rounds(state, 2)
        state[0] ^= word
    state[2] ^= 0xFF
    _rounds(state, 4)
    return state[0] ^ state[1] ^ state[2] ^ state[3]


@functools.cache
def _ring(shards: int) -> tuple[list[int], list[int]]:
    nodes = sorted(
        (siphash(struct.pack("<II", shard, index)), shard)
        for shard in range(shards)
        for index in range(_NODES_PER_SHARD)
    )
    return [key for key, _ in nodes], [shard for _, shard in nodes]


@functools.lru_cache(maxsize=100_000)
def shard_of(point: int | str, shards: int) -> int:
    """Answer the shard, of `shards`, that holds `point`."""
    if shards == 1:
        return 0
    if isinstance(point, int):
        key = siphash(struct.pack("<QQ", 0, point))
    else:
        key = siphash(struct.pack("<QQ", 1, 16) + uuid.UUID(point).bytes)
    keys, owners = _ring(shards)
    return owners[bisect.bisect_left(keys, key) % len(keys)]
