#!/usr/bin/env python3
"""Writes goldens.txt: one line per pickle, its bytes in hexadecimal and Python's repr of what they hold, sets as lists.

  cd internal/checkpoint/pickle/testdata && python3 make_goldens.py
"""
import pickle

shared = [1]
values = [None, True, False, 0, 255, 256, 65535, 65536, -1, -129, 2**31 - 1, -2**31, 2**31, -2**40, 2**63 - 1, -2**63, 1.5, -0.25,
          "", "text", "\u00e9\u4e2d", "x" * 257, (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], [1, [2]], {}, {"a": 1}, {"a": [1], 2: {"b": ()}},
          [shared, shared], [None] * 1001, {i: None for i in range(1001)}]
with open("goldens.txt", "w") as out:
    for protocol in range(1, 6):
        for v in values[:-2] if protocol != 2 else values:
            out.write(f"{pickle.dumps(v, protocol).hex()} {v!r}\n")
    for v in (b"", b"\x00\xff", b"y" * 257):
        for protocol in (3, 4, 5):
            out.write(f"{pickle.dumps(v, protocol).hex()} {list(v)}\n")
    out.write(f"{pickle.dumps(bytearray(b'ab'), 5).hex()} {list(b'ab')}\n")
    for v in ({1}, frozenset([2])):
        out.write(f"{pickle.dumps(v, 4).hex()} {list(v)}\n")
    out.write("80025d7100284b018a008a0180652e [1, 0, -128]\n")  # LONG1 of no bytes, as Python 2 wrote 0L
