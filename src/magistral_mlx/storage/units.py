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


# Older spellings; they go when the last caller has changed to the two above.


def in_gb(nbytes: int) -> str:
    """Bytes as people read disk sizes."""
    return f"{nbytes / 1e9:.2f} GB" if nbytes >= 1e9 else f"{nbytes / 1e6:.1f} MB"


def gib(size: int) -> str:
    """A size for people: "13.2 GB", in units of 2**30 bytes as Macs are sold, or in MB below one."""
    return f"{size / GIB:.1f} GB" if size >= GIB else f"{size / 2**20:.0f} MB"


def format_bytes(count: int) -> str:
    """Bytes in the unit that memory is sold in: 24.0 GB are 24 * 2**30 bytes."""
    for unit, size in (("GB", 2**30), ("MB", 2**20), ("kB", 2**10)):
        if count >= size:
            value = count / size
            return f"{value:.1f} {unit}" if unit == "GB" or value < 10 else f"{value:.0f} {unit}"
    return f"{count} B"
