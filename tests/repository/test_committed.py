from hypothesis import given
from hypothesis import strategies as st

from runtime.repository.committed import committed
from runtime.repository.head import Head
from tests.support import manifests
from tests.support.manifests import manifest_name


class History:
    """A lineage as the protocol lets it become: what is in the bucket, what HEAD says, what was committed."""

    def __init__(self) -> None:
        self.epoch, self.seq = 1, 0
        self.known = {1: 0}
        self.written: list[str] = []
        self.chain: list[str] = []

    def claim(self) -> None:
        """Let a new instance take over as HEAD is."""
        self.epoch += 1
        self.known[self.epoch] = self.seq

    def write(self, epoch: int) -> None:
        """Let the writer of an epoch, maybe of the past, write its next manifest and get no further."""
        self.written.append(manifest_name(epoch, self.known[epoch] + 1))

    def commit(self) -> None:
        """Let the writer commit."""
        self.write(self.epoch)
        self.seq += 1
        self.known[self.epoch] = self.seq
        self.chain.append(self.written[-1])

    def head(self) -> Head:
        """Return HEAD."""
        newest = self.chain[-1] if self.chain else None
        return manifests.head(self.epoch, self.seq, manifest=newest, manifest_sha256="0" * 64 if newest else None)


STEPS = st.lists(st.sampled_from(["claim", "commit", "crash", "stale"]), max_size=40)


@given(steps=STEPS, random=st.randoms(use_true_random=False), data=st.data())
def test_what_was_committed_is_told_by_the_names(steps: list[str], random: st.DataObject, data: st.DataObject) -> None:
    """Whatever claims, crashes and late writes came between, HEAD and the names give exactly the commits, in order."""
    history = History()
    for step in steps:
        match step:
            case "claim":
                history.claim()
            case "commit":
                history.commit()
            case "crash":
                history.write(history.epoch)
            case _:
                history.write(data.draw(st.integers(1, history.epoch)))
        names = sorted({*history.written, "manifests/", "manifests/x.json", "manifests/00000001-0000000001.json.tmp"})
        random.shuffle(names)  # type: ignore[attr-defined]
        assert committed(names, history.head()) == history.chain[::-1]


def test_a_lineage_without_a_backup_has_committed_nothing() -> None:
    """A manifest that a crash left before the first commit is none."""
    assert committed([manifest_name(1, 1)], manifests.head(1, 0)) == []


def test_head_s_own_manifest_counts_even_when_it_is_missing() -> None:
    """What HEAD names was committed, whether the bucket still has it or not."""
    head = manifests.head(2, 2, manifest=manifest_name(2, 2), manifest_sha256="0" * 64)
    assert committed([manifest_name(1, 1)], head) == [manifest_name(2, 2), manifest_name(1, 1)]
