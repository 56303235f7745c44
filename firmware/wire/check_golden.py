#!/usr/bin/env python3
"""Opens the frames of golden.txt with nothing but this page: written after NIST SP 800-232, not after the Rust code.

Should the two disagree, the frames are not what decision 25 says they are.
"""

import struct
import sys
import zlib
from pathlib import Path

KEY = b"0123456789abcdef"
MASK = (1 << 64) - 1
EXPECTED = {
    # echo 0, nothing acknowledged, no epoch, no order
    "call": "0000000000",
    # echo 300; acknowledged 3 and 70000; an epoch; order 2: switch channel 4 on for 600 s
    "down": "ac0203f0a20401b6b486a3c1680102010401d804",
    # uptime 123456, order 2 awaits 4096; well: let go 0, damaged 5, failing 2, stuck 0, panics 0
    "well": "c0c407010204802001" + "0005020000",
    # the same; four reports of the urgent lane: made, released, 61.5 degrees, a cut line
    "reports": "c0c40701020480200200"
    + "04"
    + "0100b6b486a3c1680001"
    + "0201b6b486a3c1680200"
    + "0302b6b486a3c16803" + struct.pack("<f", 61.5).hex()
    + "0403b6b486a3c1680102",
    "log": "c0c407010204802003" + "08" + b"started\n".hex(),
}


def rotate(word, by):
    return (word >> by | word << (64 - by)) & MASK


def permute(s, rounds):
    for i in range(12 - rounds, 12):
        s[2] ^= (0xF - i) << 4 | i
        s[0] ^= s[4]
        s[4] ^= s[3]
        s[2] ^= s[1]
        t = [(s[j] ^ MASK) & s[(j + 1) % 5] for j in range(5)]
        for j in range(5):
            s[j] ^= t[(j + 1) % 5]
        s[1] ^= s[0]
        s[0] ^= s[4]
        s[3] ^= s[2]
        s[2] ^= MASK
        for j, (a, b) in enumerate([(19, 28), (61, 39), (1, 6), (10, 17), (7, 41)]):
            s[j] ^= rotate(s[j], a) ^ rotate(s[j], b)


def words(data):
    return struct.unpack(f"<{len(data) // 8}Q", data)


def opened(key, nonce, head, sealed, tag):
    """The payload; fails where the tag does not fit."""
    k0, k1 = words(key)
    s = [0x00001000808C0001, k0, k1, *words(nonce)]
    permute(s, 12)
    s[3] ^= k0
    s[4] ^= k1
    padded = head + b"\1" + bytes(-(len(head) + 1) % 16)
    for at in range(0, len(padded), 16):
        a, b = words(padded[at : at + 16])
        s[0] ^= a
        s[1] ^= b
        permute(s, 8)
    s[4] ^= 1 << 63
    payload = b""
    for at in range(0, len(sealed) + 1, 16):
        block = sealed[at : at + 16]
        stream = struct.pack("<2Q", s[0], s[1])
        plain = bytes(x ^ y for x, y in zip(block, stream))
        payload += plain
        if len(block) == 16:
            s[0], s[1] = words(block)
            permute(s, 8)
        else:
            a, b = words(plain + b"\1" + bytes(15 - len(plain)))
            s[0] ^= a
            s[1] ^= b
    s[2] ^= k0
    s[3] ^= k1
    permute(s, 12)
    assert struct.pack("<2Q", s[3] ^ k0, s[4] ^ k1) == tag, "the tag does not fit"
    return payload


def unstuffed(line):
    assert line[0] == 0 and line[-1] == 0
    out, rest = b"", line[1:-1]
    while rest:
        length = rest[0]
        out += rest[1:length]
        rest = rest[length:]
        if rest and length < 255:
            out += b"\0"
    return out


def main():
    vectors = dict(line.split(" ", 1) for line in Path(__file__).with_name("golden.txt").read_text().splitlines())
    for name, expected in EXPECTED.items():
        frame = unstuffed(bytes.fromhex(vectors[name]))
        body, (crc,) = frame[:-4], struct.unpack("<I", frame[-4:])
        assert zlib.crc32(body) == crc, f"{name}: the checksum does not fit"
        head, sealed, tag = body[:18], body[18:-16], body[-16:]
        version, direction, node, session, boot, counter = struct.unpack("<BB4I", head)
        assert (version, node, session, counter) == (1, 0x4F2A19C3, 0xDEADBEEF, 7), f"{name}: the header is another"
        nonce = struct.pack("<BBxx3I", version, direction, session, boot, counter)
        payload = opened(KEY, nonce, head, sealed, tag).hex()
        assert payload == expected, f"{name}: {payload} is not {expected}"
    print(f"{len(EXPECTED)} frames are as decision 25 says")


if __name__ == "__main__":
    sys.exit(main())
