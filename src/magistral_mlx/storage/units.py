"""Units of memory and disk, and how they are written."""


def in_gb(nbytes: int) -> str:
    """Bytes as people read disk sizes."""
    return f"{nbytes / 1e9:.2f} GB" if nbytes >= 1e9 else f"{nbytes / 1e6:.1f} MB"


GIB = 2**30


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
