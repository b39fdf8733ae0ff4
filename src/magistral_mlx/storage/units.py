"""Write and read sizes. The only place that spells a unit.

Files and downloads are in decimal GB (10**9 bytes), as Finder and the hub show them. Memory is in GiB
(2**30 bytes), as Macs are sold; Activity Monitor calls these "GB".
"""

KB, MB, GB = 10**3, 10**6, 10**9
KIB, MIB, GIB = 2**10, 2**20, 2**30


def format_disk(count: int | float) -> str:
    """Write the size of a file or download: "14.1 GB", "412 MB", "35 kB", "12 B"."""
    return _format(count, (("GB", GB), ("MB", MB), ("kB", KB)))


def format_memory(count: int | float) -> str:
    """Write an amount of memory: "13.2 GiB", "412 MiB", "34 KiB", "12 B"."""
    return _format(count, (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)))


def format_about(count: int | float) -> str:
    """Write a rounded amount of disk, for requirements: "20 GB"."""
    return f"{count / GB:.0f} GB"


def format_installed(count: int) -> str:
    """Write the memory a Mac is sold with: "24 GiB"."""
    return f"{count // GIB} GiB"


def format_rate(bytes_per_second: float) -> str:
    """Write the speed of a download or disk: "240 MB/s"."""
    return f"{format_disk(bytes_per_second)}/s"


def _format(count: float, units: tuple[tuple[str, int], ...]) -> str:
    largest = units[0][0]
    for unit, size in units:
        if count >= size:
            value = count / size
            return f"{value:.1f} {unit}" if unit == largest or value < 10 else f"{value:.0f} {unit}"
    return f"{count:.0f} B"
