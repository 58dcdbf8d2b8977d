"""The smallest program there is: it does nothing, and says that it went well.

With it a container can be run where there is neither a registry nor a static program to make an image of.
The source of the format: https://refspecs.linuxfoundation.org/elf/elf.pdf, and of how each architecture calls the
kernel: https://man7.org/linux/man-pages/man2/syscall.2.html
"""

from collections.abc import Mapping

from magnet.values import frozen

_ADDRESS = 0x10000
_PAGE = 0x10000  # the largest that Linux has on these


@frozen
class _Target:
    """An architecture: its number in ELF, and the code of `exit(0)`."""

    number: int
    code: str
    word: int = 8
    byteorder: str = "little"
    flags: int = 0


_TARGETS: Mapping[str, _Target] = {
    "x86_64": _Target(62, "31ff b83c000000 0f05"),
    "aarch64": _Target(183, "000080d2 a80b80d2 010000d4"),
    "armv7l": _Target(40, "0000a0e3 0170a0e3 000000ef", word=4, flags=0x5000000),
    "ppc64le": _Target(21, "00006038 01000038 02000044", flags=2),
    "riscv64": _Target(243, "13050000 9308d005 73000000"),
    "s390x": _Target(22, "a7290000 0a01", byteorder="big"),
}
_SAME = {"arm64": "aarch64", "amd64": "x86_64", "arm": "armv7l", "armv6l": "armv7l", "armv8l": "armv7l"}


def smallest_program(machine: str) -> bytes | None:
    """The program for a machine, as `uname` or an engine calls it; None for one that is not known."""
    target = _TARGETS.get(_SAME.get(machine, machine))
    return _executable(target) if target else None


def _executable(target: _Target) -> bytes:
    """An ELF file of a header, one segment that holds the whole file, and the code."""
    import struct

    code = bytes.fromhex(target.code)
    order = "<" if target.byteorder == "little" else ">"
    is_wide = target.word == 8
    header, segment = ("HHIQQQIHHHHHH", "IIQQQQQQ") if is_wide else ("HHIIIIIHHHHHH", "IIIIIIII")
    start = 16 + struct.calcsize(order + header)
    begin = start + struct.calcsize(order + segment)
    size = begin + len(code)
    ident = bytes((0x7F, *b"ELF", 2 if is_wide else 1, 1 if order == "<" else 2, 1)) + bytes(9)
    about = (2, target.number, 1, _ADDRESS + begin, start, 0, target.flags, start, begin - start, 1, 0, 0, 0)
    # Loadable, readable and executable; the flags stand elsewhere in the narrow form.
    place = (0, _ADDRESS, _ADDRESS, size, size)
    loaded = (1, 5, *place, _PAGE) if is_wide else (1, *place, 5, _PAGE)
    return ident + struct.pack(order + header, *about) + struct.pack(order + segment, *loaded) + code
