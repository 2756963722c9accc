"""Payloads written so that Qdrant reads exactly the numbers that were meant.

Owns the choice of digits. Qdrant's JSON parser (serde_json without `float_roundtrip`) takes the digits as one 64-bit
number and divides it by a power of ten: of numbers with 17 significant digits it reads a good part one last bit off.
A number is therefore written with other digits of the same value, chosen by doing what the parser does.
"""

import json
import math
import re
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, Final

from runtime.sync.pages import Point

_MOST_DIGITS_VALUE: Final = 2**64 - 1
_LARGEST_POWER: Final = 308
_DECIMAL: Final = re.compile(r"(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?")


def exact_json(points: Iterable[Point]) -> bytes:
    """Return points as JSON whose payload's numbers come out of Qdrant's parser as they are."""
    mark = uuid.uuid4().hex
    marked = [{**point, "payload": _marked(point.get("payload") or {}, mark)} for point in points]
    return re.sub(rb'"%s:([^"]+)"' % mark.encode(), rb"\1", json.dumps(marked).encode())


def exact_text(value: float) -> str:
    """Return decimal digits that Qdrant's parser reads as exactly this number, any reader's if there are such."""
    best = None
    for text in (repr(value), *_other_digits(value)):
        if as_qdrant_reads(text) == value:
            if float(text) == value:
                return text
            best = best or text
    return best or repr(value)


def as_qdrant_reads(text: str) -> float:
    """Return what serde_json's default parser makes of a decimal number."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        return float(text)
    sign, whole, fraction, exponent = match[1], match[2], match[3] or "", int(match[4] or 0)
    significand = 0
    for place, digit in enumerate(whole + fraction):
        if significand * 10 + int(digit) > _MOST_DIGITS_VALUE:
            exponent += max(len(whole) - place, 0)
            break
        significand = significand * 10 + int(digit)
        exponent -= place >= len(whole)
    value = float(significand)
    while exponent < -_LARGEST_POWER and value:
        value /= 1e308
        exponent += _LARGEST_POWER
    power = float(f"1e{min(abs(exponent), _LARGEST_POWER)}")
    value = value * power if exponent >= 0 else value / power
    return -value if sign else value


def _other_digits(value: float) -> Iterator[str]:
    if not math.isfinite(value) or value == 0:
        return
    sign = "-" if value < 0 else ""
    for digits in (17, 18, 19, 20):
        mantissa, _, exponent = f"{abs(value):.{digits - 1}e}".partition("e")
        power = int(exponent) - digits + 1
        nearest = float(mantissa.replace(".", ""))
        for near in (nearest, math.nextafter(nearest, math.inf), math.nextafter(nearest, 0)):
            if near <= _MOST_DIGITS_VALUE:
                yield f"{sign}{int(near)}e{power}"


def _marked(value: Any, mark: str) -> Any:
    if isinstance(value, float):
        text = exact_text(value)
        return value if text == repr(value) else f"{mark}:{text}"
    if isinstance(value, dict):
        return {name: _marked(part, mark) for name, part in value.items()}
    if isinstance(value, list):
        return [_marked(part, mark) for part in value]
    return value
