#!/usr/bin/env python3
"""Writes the golden .npy files and headers that the tests of this package read.

Run in this directory: python3 golden.py   (made with numpy 1.24.2)
"""
import io
import json

import numpy as np

values = {
    "bool": [[True, False, True], [False, False, True]],
    "int8": [[-128, 0, 127], [1, -1, 2]],
    "uint8": [[0, 128, 255], [1, 2, 3]],
    "int16": [[-32768, 0, 32767], [1, -1, 258]],
    "uint16": [[0, 65535, 32768], [1, 2, 258]],
    "int32": [[-2**31, 0, 2**31 - 1], [1, -1, 2]],
    "uint32": [[0, 2**32 - 1, 2**31], [1, 2, 3]],
    "int64": [[-2**63, 0, 2**63 - 1], [1, -1, 2]],
    "uint64": [[0, 2**63 - 1, 2**62], [1, 2, 3]],
    "float16": [[0.1, -65504, 6e-8], [1, -0.0, np.inf]],
    "float32": [[0.1, 3.4e38, 1e-45], [1, -0.0, np.nan]],
    "float64": [[0.1, 3.4e38, 1e-45], [1, -0.0, -np.inf]],
}
for name, v in values.items():
    np.save(f"{name}.npy", np.array(v, dtype=name))

a = np.arange(24, dtype=np.int32).reshape(2, 3, 4)
np.save("int32_3d.npy", a)
np.save("fortran.npy", np.asfortranarray(a[0]))
np.save("bigendian.npy", a.astype(">i4"))
np.save("scalar.npy", np.float32(2.5))
np.save("zerorows.npy", np.zeros((0, 5), np.float16))
np.save("structured.npy", np.zeros(2, dtype=[("a", "<i4")]))
np.save("complex.npy", np.zeros(2, dtype=np.complex64))
np.save("object.npy", np.array([None, 1], dtype=object))
np.save("too_large_uint64.npy", np.array([1, 2**63], dtype=np.uint64))
np.save("too_large_float64.npy", np.array([1, 1e39], dtype=np.float64))
for version in (1, 2, 3):
    with open(f"version{version}.npy", "wb") as f:
        np.lib.format.write_array(f, np.arange(3, dtype=np.int64), version=(version, 0))

headers = []
for shape in [(), (0,), (1,), (7,), (50000, 2304), (0, 5), (10**18, 9), (3, 224, 224, 3), (1,) * 32,
              (12,) + (123456,) * 2, (1, 1, 1, 1, 1, 1, 10, 10, 10, 10, 100, 10)]:
    for dtype in ("|b1", "<u4", "<f2", "<f4"):
        out = io.BytesIO()
        np.lib.format.write_array_header_1_0(out, {"descr": dtype, "fortran_order": False, "shape": shape})
        headers.append({"descr": dtype, "shape": shape, "header": out.getvalue().hex()})
with open("headers.json", "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(h) for h in headers) + "\n]\n")

# float32 to float16 as numpy rounds it: halfway cases, subnormals, the largest that does not overflow
rng = np.random.default_rng(0)
f32 = np.concatenate([
    np.array([0, -0.0, 1, 65504, 65519.996, -65519.996, 6.1e-5, 5.96e-8, 2.98e-8, 2.9803e-8, 1e-10, 1 + 2**-11, 1 + 3 * 2**-11], np.float32),
    (rng.standard_normal(400) * 10 ** rng.uniform(-8, 4, 400)).astype(np.float32),
])
np.save("round_float32.npy", f32)
np.save("round_float16.npy", f32.astype(np.float16))
