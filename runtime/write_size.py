"""How much one write to a local file is given.

Owns the number. ext4 takes a write of a mebibyte in pages of that size, and looking for one costs, depending on how
memory lies, up to five times the processor time of four writes of a quarter; in memory (tmpfs) they cost the same.
"""

from typing import Final

WRITE_BYTES: Final = 256 * 1024
