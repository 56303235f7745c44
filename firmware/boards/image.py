#!/usr/bin/env python3
"""Of each BOARD.elf makes BOARD.bin, as it stands in flash, and BOARD.json, which says where; prints the sizes.

Where there is a BOARD.boot.elf, the board has two slots: BOARD.bin then begins with the boot loader, and
BOARD.update.bin is the program alone, as it goes over the line.

    image.py target/firmware/pico …
"""

import json
import struct
import sys
import zlib
from pathlib import Path

LOAD = 1
RAM = 0x20000000


def segments(elf: bytes):
    """What is loaded: physical address, virtual address, bytes, size in memory."""
    assert elf[:6] == b"\x7fELF\x01\x01", "not a 32-bit little-endian ELF file"
    (start,) = struct.unpack_from("<I", elf, 28)
    size, number = struct.unpack_from("<HH", elf, 42)
    for place in range(number):
        kind, offset, virtual, physical, in_file, in_memory = struct.unpack_from("<6I", elf, start + place * size)
        if kind == LOAD:
            yield physical, virtual, elf[offset : offset + in_file], in_memory


def image(elf: bytes):
    """Where flash begins to be written, what with, and how much RAM is taken for good."""
    parts = [(physical, data) for physical, _, data, _ in segments(elf) if data]
    begin = min(address for address, _ in parts)
    flash = bytearray(b"\xff" * (max(address + len(data) for address, data in parts) - begin))
    for address, data in parts:
        flash[address - begin : address - begin + len(data)] = data
    ram = sum(in_memory for _, virtual, _, in_memory in segments(elf) if virtual >= RAM)
    return begin, bytes(flash), ram


def joined(boot: tuple, program: tuple):
    """Two images as one, with erased flash between."""
    (begin, flash, _), (at, behind, _) = boot, program
    assert begin + len(flash) <= at, "the boot loader reaches into the program"
    return begin, flash + b"\xff" * (at - begin - len(flash)) + behind


for name in map(Path, sys.argv[1:]):
    program = image(name.with_suffix(".elf").read_bytes())
    begin, flash, ram = program
    size = len(flash)
    facts = {"board": name.name, "ram": ram}
    boot = name.with_suffix(".boot.elf")
    if boot.exists():
        name.with_suffix(".update.bin").write_bytes(flash)
        facts["update"] = {"size": size, "crc32": zlib.crc32(flash)}
        begin, flash = joined(image(boot.read_bytes()), program)
    name.with_suffix(".bin").write_bytes(flash)
    facts |= {"address": begin, "size": len(flash), "crc32": zlib.crc32(flash)}
    name.with_suffix(".json").write_text(json.dumps(facts) + "\n")
    slots = "two slots" if boot.exists() else "one slot"
    print(f"{name.name:12} flash {size / 1024:5.1f} KiB   RAM {ram / 1024:5.1f} KiB and its stack   {slots}")
