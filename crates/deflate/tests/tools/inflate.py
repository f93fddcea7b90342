#!/usr/bin/env python3
"""Inflates raw DEFLATE streams with Python's zlib and compares: `inflate.py < CASES`.

CASES is any number of pairs, a stream and the text that it must inflate to, each with its length
in front as eight bytes, least significant first. Exits with 1 at the first that is wrong.
"""
import struct
import sys
import zlib

cases = memoryview(sys.stdin.buffer.read())
at = count = text_bytes = 0


def part():
    global at
    (length,) = struct.unpack_from("<Q", cases, at)
    at += 8 + length
    if at > len(cases):
        sys.exit(f"case {count} is cut short")
    return cases[at - length : at]


while at < len(cases):
    stream, text = part(), part()
    decoder = zlib.decompressobj(wbits=-15)
    try:
        inflated = decoder.decompress(stream) + decoder.flush()
    except zlib.error as error:
        sys.exit(f"stream {count}: {error}")
    if not decoder.eof:
        sys.exit(f"stream {count} has no final block")
    if decoder.unused_data:
        sys.exit(f"stream {count} goes on after its final block")
    if inflated != text:
        sys.exit(f"stream {count} inflates to another text")
    count += 1
    text_bytes += len(text)
print(f"{count} streams, {text_bytes} bytes")
