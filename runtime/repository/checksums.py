"""CRC32C as Cloud Storage writes it: base64 of four big-endian bytes.

Owns the encoding and the running sum. SHA-256 of packs and files is not its business.
"""

import base64

import google_crc32c


class RunningCrc32c:
    """The checksum and the size of bytes as they pass."""

    def __init__(self) -> None:
        self.size = 0
        self._value = 0

    def update(self, data: bytes) -> None:
        """Take the next bytes."""
        self._value = google_crc32c.extend(self._value, data)
        self.size += len(data)

    def encoded(self) -> str:
        """Return the checksum of all that passed."""
        return base64.b64encode(self._value.to_bytes(4, "big")).decode()


def crc32c_of(data: bytes) -> str:
    """Return the checksum of a small object."""
    running = RunningCrc32c()
    running.update(data)
    return running.encoded()
