#!/usr/bin/env python3
"""Writes the golden checkpoints of this folder and expected.json, with PyTorch 1.13 (Debian: python3-torch).

  cd internal/checkpoint/testdata && python3 make_goldens.py

expected.json: file -> format and tensors in order: key as in the file, safetensors' name of the type, shape, and the
contiguous bytes as hexadecimal; "float32" holds the bytes after conversion where they differ. What PyTorch itself reads
back from each file is the reference; the two files that are not written by torch.save are checked against torch.load.
Values are small random numbers, seeded.
"""
import collections, inspect, io, json, pickle, struct, zipfile
import torch
import torch.nn as nn

NAMES = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
         torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL", torch.complex64: "C64"}
expected = {}


def raw(t):
    t = t.detach().contiguous().clone().reshape(-1)
    return bytes(t.untyped_storage() if hasattr(t, "untyped_storage") else t.storage().untyped())


def record(name, form, tensors):
    rows = []
    for key, t in tensors.items():
        row = {"key": key, "dtype": NAMES[t.dtype], "shape": list(t.shape), "raw": raw(t).hex()}
        if t.dtype.is_floating_point and t.dtype != torch.float32:
            row["float32"] = raw(t.float()).hex()
        rows.append(row)
    expected[name] = {"format": form, "tensors": rows}


def save(name, obj, tensors, legacy=False, **kw):
    torch.save(obj, name, _use_new_zipfile_serialization=not legacy, **kw)
    record(name, "PyTorch legacy" if legacy else "PyTorch zip", tensors)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 2, bias=False)
        self.bn = nn.BatchNorm2d(3)
        self.register_buffer("scratch", torch.ones(2), persistent=False)

    def forward(self, x):
        return self.bn(self.conv(x))


class Net(nn.Module):
    """Two registrations of one block, as the mini ResNet has them, and a head."""
    def __init__(self):
        super().__init__()
        self.block0 = Block()
        self.layer = nn.Sequential(self.block0)
        self.head = nn.Linear(3, 2)

    def forward(self, x):
        return self.head(self.layer(x).mean((2, 3)))


torch.manual_seed(0)
net = Net()
for p in net.parameters():
    p.data = torch.randn(p.shape)
net.block0.bn.running_mean.uniform_()
state = net.state_dict()
prefixed = {"module." + k: v for k, v in state.items()}

# State dicts, wrapped and not, in both formats.
save("state_zip.pt", state, state)
save("state_legacy.pth", state, state, legacy=True)
optimizer = torch.optim.Adam(net.parameters())
net(torch.randn(2, 2, 4, 4)).sum().backward()
optimizer.step()
state = net.state_dict()
prefixed = {"module." + k: v for k, v in state.items()}
save("wrapped_legacy.th", {"epoch": 3, "best": torch.tensor(0.5), "state_dict": prefixed}, prefixed, legacy=True)
save("wrapped_zip.pt", {"args": {"lr": 0.1}, "acc": 91.7, "net": prefixed, "optimizer": optimizer.state_dict()}, prefixed)

# Whole modules, one of them in DataParallel. The legacy format carries classes' sources: a line each stands for them.
real = inspect.getsourcelines, inspect.getsourcefile
inspect.getsourcelines = lambda c: ([f"# the source of {c.__name__}\n"], 0)
inspect.getsourcefile = lambda c: c.__module__ + ".py"
save("module_zip.pt", net, state)
save("module_legacy.pt", {"model": nn.DataParallel(net), "epoch": 1}, prefixed, legacy=True)
inspect.getsourcelines, inspect.getsourcefile = real

# Every element type, a scalar, an empty tensor.
types = {"f64": torch.tensor([1.1, -2e30, 5e-324], dtype=torch.float64), "f16": torch.tensor([[1.5, -6e-8], [65504, 0]]).half(),
         "bf16": torch.tensor([[[3.0], [-1e38]]]).bfloat16(), "f32": torch.tensor(2.5), "i64": torch.tensor([2**40, -1]),
         "i32": torch.tensor([7], dtype=torch.int32), "i16": torch.tensor([-3, 4], dtype=torch.int16), "i8": torch.tensor([-8], dtype=torch.int8),
         "u8": torch.tensor([1, 2, 255], dtype=torch.uint8), "bool": torch.tensor([True, False, True]),
         "c64": torch.tensor([1 + 2j]), "empty": torch.zeros(0, 3)}
save("types_zip.pt", types, types)
save("types_legacy.pt", types, types, legacy=True)

# Views: transposed, stepped, offset, repeated, channels last, and two that share a storage.
base = torch.arange(24, dtype=torch.float32)
views = {"transposed": torch.randn(3, 4).t(), "stepped": torch.randn(4, 6)[1::2, ::3], "tail": base[20:], "matrix": base.view(4, 6)[1:3, 2:5],
         "repeated": torch.tensor([[1.0], [2.0]]).expand(2, 3), "channels_last": torch.randn(2, 3, 2, 2).contiguous(memory_format=torch.channels_last),
         "half": torch.randn(3, 5).half().t()[::2], "ones": torch.randn(1, 4, 1).transpose(0, 2)}
save("views_zip.pt", views, views)
save("views_legacy.pt", views, views, legacy=True)

# Parameters, a subclass of Tensor, and every pickle protocol that torch.save takes.
Tagged = type("Tagged", (torch.Tensor,), {})
Tagged.__module__, globals()["Tagged"] = "__main__", Tagged
parameters = {"parameter": nn.Parameter(torch.randn(2, 2)), "tagged": torch.randn(3).as_subclass(Tagged)}
parameters["tagged"].note = "kept beside the values"
plain = {k: v.detach().as_subclass(torch.Tensor) for k, v in parameters.items()}
for protocol in (1, 2, 3, 4, 5):
    save(f"protocol{protocol}_zip.pt", parameters, plain, pickle_protocol=protocol)
save("protocol4_legacy.pt", parameters, plain, pickle_protocol=4, legacy=True)


class Python2Dict(dict):
    """Pickles as Python 2's OrderedDict did: its items as one list of lists."""
    def __reduce__(self):
        return collections.OrderedDict, ([[k, v] for k, v in self.items()],), {"_metadata": {}}


two = {"w": torch.randn(2, 3), "b": torch.randn(2)}
save("python2_legacy.pth", Python2Dict(two), two, legacy=True)

# The zip archive compressed, which torch.save does not do but unpacking and packing does.
with zipfile.ZipFile("state_zip.pt") as z, zipfile.ZipFile("deflated_zip.pt", "w", zipfile.ZIP_DEFLATED) as out:
    for i in z.infolist():
        info = zipfile.ZipInfo(i.filename)
        info.compress_type = zipfile.ZIP_DEFLATED
        out.writestr(info, z.read(i))
record("deflated_zip.pt", "PyTorch zip", torch.load("deflated_zip.pt"))


class Storage:
    """Stands for a storage saved on a GPU, two views of which are referred to by offset and length."""
    def __init__(self, id): self.id = id


class Call:
    def __init__(self, *args): self.args = args
    def __reduce__(self): return torch._utils._rebuild_tensor, self.args


class Pickler(pickle.Pickler):
    def persistent_id(self, obj): return obj.id if isinstance(obj, Storage) else None


b = io.BytesIO()
for obj in (0x1950a86a20f9469cfc6c, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}):
    pickle.dump(obj, b, 2)
whole = lambda *view: Storage(("storage", torch.FloatStorage, "17", "cuda:0", 6, view or None))
Pickler(b, 2).dump({"all": Call(whole(), 0, (2, 3), (3, 1)), "low": Call(whole("17a", 0, 3), 1, (2,), (1,)), "high": Call(whole("17b", 3, 3), 0, (3,), (1,))})
pickle.dump(["17"], b, 2)
b.write(struct.pack("<q6f", 6, *range(6)))
open("gpu_views_legacy.pth", "wb").write(b.getvalue())
loaded = torch.load("gpu_views_legacy.pth", map_location="cpu")
assert loaded["low"].tolist() == [1, 2] and loaded["high"].tolist() == [3, 4, 5]
record("gpu_views_legacy.pth", "PyTorch legacy", loaded)

# .safetensors, after the format's description; data not in header order.
order = [types[k] for k in ("f64", "i64", "f32", "bf16", "f16", "bool")]
names = ["module.a", "module.a.num_batches_tracked", "module.scalar", "b", "c\u00e9", "d"]
header, at, data = {"__metadata__": {"format": "pt", "note": "kept"}}, 0, b""
for name, t in zip(names, order):
    header[name] = {"dtype": NAMES[t.dtype], "shape": list(t.shape), "data_offsets": [at, at + len(raw(t))]}
    at, data = at + len(raw(t)), data + raw(t)
header = {k: header[k] for k in reversed(list(header))}
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
open("mixed.safetensors", "wb").write(struct.pack("<Q", len(text)) + text + data)
record("mixed.safetensors", "safetensors", dict(reversed(list(zip(names, order)))))

# What has no plain values: refused.
torch.save({"w": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)}, "quantized_zip.pt")
torch.jit.save(torch.jit.script(nn.Linear(2, 2)), "script_zip.pt")

json.dump(expected, open("expected.json", "w"), indent=None, separators=(",", ":"))
open("expected.json", "a").write("\n")
