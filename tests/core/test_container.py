from pathlib import Path

import pytest

from runtime.container import allowance, memory_used

MEMINFO = "MemTotal:       16000000 kB\nMemFree: 5 kB\n"


def machine(folder: Path, **files: str) -> tuple[Path, Path]:
    """Write the files that the kernel would show; names have __ for a slash and _DOT_ for a dot."""
    processes = folder / "proc"
    processes.mkdir(parents=True)
    (processes / "meminfo").write_text(MEMINFO)
    for name, text in files.items():
        file = folder / "cgroup" / name.replace("__", "/").replace("_DOT_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    return folder / "cgroup", processes


@pytest.mark.parametrize(
    ("files", "memory"),
    [
        ({"memory_DOT_max": "4294967296"}, 4294967296),
        ({"memory_DOT_max": "max"}, 16_384_000_000),
        ({"memory__memory_DOT_limit_in_bytes": "2147483648"}, 2147483648),
        ({"memory__memory_DOT_limit_in_bytes": "9223372036854771712"}, 16_384_000_000),
        ({"memory_DOT_max": "99999999999"}, 16_384_000_000),
        ({}, 16_384_000_000),
    ],
)
def test_the_smaller_of_limit_and_machine_counts(tmp_path: Path, files: dict[str, str], memory: int) -> None:
    """Both versions of control groups are read; without a limit the machine is one."""
    assert allowance(*machine(tmp_path, **files)).memory_bytes == memory


@pytest.mark.parametrize(
    ("files", "processors"),
    [
        ({"cpu_DOT_max": "50000 100000"}, 0.5),
        ({"cpu__cpu_DOT_cfs_quota_us": "25000", "cpu__cpu_DOT_cfs_period_us": "100000"}, 0.25),
    ],
)
def test_a_share_of_a_processor_counts_as_that(tmp_path: Path, files: dict[str, str], processors: float) -> None:
    """The quota over its period, in both versions."""
    assert allowance(*machine(tmp_path, **files)).processors == processors


@pytest.mark.parametrize("files", [{"cpu_DOT_max": "max 100000"}, {"cpu__cpu_DOT_cfs_quota_us": "-1"}, {}])
def test_no_quota_means_the_machines_processors(tmp_path: Path, files: dict[str, str]) -> None:
    """Without a quota the process may use what it is allowed to run on."""
    assert allowance(*machine(tmp_path, **files)).processors >= 1


def test_memory_in_use_leaves_out_what_the_kernel_gives_back(tmp_path: Path) -> None:
    """Cached pages of real files do not count; a memory disk's pages are no such cache and do."""
    groups, _ = machine(tmp_path, memory_DOT_current="1000", memory_DOT_stat="anon 3\ninactive_file 400")

    assert memory_used(groups) == 600
    assert memory_used(tmp_path) is None
