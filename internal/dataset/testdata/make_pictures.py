# Writes pictures/ and pictures.json: small picture files and what Pillow's convert("RGB") makes of them.
# Run in this folder: python3 make_pictures.py   (made with Pillow 9.4.0, libjpeg-turbo 2.1.5, libwebp 1.2.4)
import base64, io, json, struct, zlib
import numpy as np
from PIL import Image

def scene(h, w, c=3):
    """Saturated colours with hard edges, a gradient and a little noise: hard for chroma interpolation."""
    rng = np.random.default_rng(h * 1000 + w)
    y, x = np.mgrid[0:h, 0:w]
    img = np.stack([255 * x / max(w - 1, 1), 255 * y / max(h - 1, 1), 128 + 100 * np.sin(x / 2.3 + y / 3.1)], -1)
    img[(x - w * .6) ** 2 + (y - h * .4) ** 2 < (min(h, w) * .3) ** 2] = [230, 20, 30]
    img[h // 2:, : w // 3] = [20, 40, 220]
    img += rng.normal(0, 6, img.shape)
    return np.clip(img, 0, 255).astype(np.uint8)[..., :c]

def jpeg(img, mode="RGB", **options):
    out = io.BytesIO()
    Image.fromarray(img).convert(mode).save(out, "JPEG", **{"quality": 85, **options})
    return out.getvalue()

def sampling(data, old, new):
    """Declares another sampling factor for luma: same blocks per MCU, so the stream stays valid for another picture."""
    at = data.index(b"\xff\xc0") + 11
    assert data[at] == old, hex(data[at])
    return data[:at] + bytes([new]) + data[at + 1:]

def adobe_transform(data, transform):
    at = data.index(b"Adobe") + 11
    return data[:at] + bytes([transform]) + data[at + 1:]

def png(h, w, colour, depth, extra=b"", seed=0, rows=None):
    """A PNG of random samples in any colour type (0 grey, 2 RGB, 3 palette, 4 grey+alpha, 6 RGBA) and bit depth."""
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    bits = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour] * depth * w
    rng = np.random.default_rng(seed)
    raw = b"".join(b"\0" + rng.bytes((bits + 7) // 8) for _ in range(h)) if rows is None else rows
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, 0)) + extra_chunks(chunk, extra)
            + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b""))

def extra_chunks(chunk, extra):
    return b"".join(chunk(kind, body) for kind, body in extra) if extra else b""

def webp(img, mode="RGB", **options):
    out = io.BytesIO()
    Image.fromarray(img, mode).save(out, "WEBP", **options)
    return out.getvalue()

files = {}
a, b = scene(33, 40), scene(17, 23)
files["444.jpg"] = jpeg(a, subsampling=0)
files["422.jpg"] = jpeg(a, subsampling=1)
files["420.jpg"] = jpeg(a, subsampling=2)
files["420-odd.jpg"] = jpeg(b, subsampling=2)
files["422-odd.jpg"] = jpeg(b, subsampling=1)
files["420-narrow.jpg"] = jpeg(scene(9, 4), subsampling=2)
files["420-five.jpg"] = jpeg(scene(5, 5), subsampling=2)
files["440.jpg"] = sampling(jpeg(scene(32, 32), subsampling=1), 0x21, 0x12)
files["440-odd.jpg"] = sampling(jpeg(scene(15, 15), subsampling=1), 0x21, 0x12)
files["411.jpg"] = sampling(jpeg(scene(32, 32), subsampling=2), 0x22, 0x41)
files["progressive.jpg"] = jpeg(b, subsampling=2, progressive=True)
files["grey.jpg"] = jpeg(b, "L")
files["low-quality.jpg"] = jpeg(a, subsampling=2, quality=20)
files["cmyk.jpg"] = jpeg(b, "CMYK", subsampling=0)
files["ycck.jpg"] = adobe_transform(files["cmyk.jpg"], 2)
exif = Image.Exif()
exif[0x0112] = 6  # "turn by 90 degrees", which torchvision ignores
files["turned.jpg"] = jpeg(scene(8, 16), exif=exif.tobytes())
files["misnamed.png"] = jpeg(scene(8, 8), subsampling=0)

palette = [(b"PLTE", np.random.default_rng(5).bytes(48))]
for depth in (1, 2, 4, 8, 16):
    files[f"grey{depth}.png"] = png(6, 11, 0, depth)
files["grey16-dark.png"] = png(4, 5, 0, 16, rows=b"".join(b"\0" + bytes(x for i in range(5) for x in (i == 4, 40 * i + y)) for y in range(4)))
files["grey8-transparent.png"] = png(6, 11, 0, 8, [(b"tRNS", b"\0\x40")])
files["grey16-transparent.png"] = png(6, 11, 0, 16, [(b"tRNS", b"\x12\x34")])
for depth in (8, 16):
    files[f"rgb{depth}.png"] = png(6, 7, 2, depth)
    files[f"grey-alpha{depth}.png"] = png(6, 7, 4, depth)
    files[f"rgba{depth}.png"] = png(6, 7, 6, depth)
files["rgb8-transparent.png"] = png(6, 7, 2, 8, [(b"tRNS", b"\0\x10\0\x20\0\x30")])
files["palette4.png"] = png(6, 7, 3, 4, palette)
files["palette4-transparent.png"] = png(6, 7, 3, 4, palette + [(b"tRNS", b"\0\x80\xff")])

files["lossy.webp"] = webp(a, quality=80)
files["lossy-odd.webp"] = webp(b, quality=60)
files["lossy-even-odd.webp"] = webp(scene(17, 16), quality=90)
files["lossy-tiny.webp"] = webp(scene(2, 1), quality=90)
alpha = np.dstack([b, np.arange(b.shape[0] * b.shape[1]).reshape(b.shape[:2]) % 256]).astype(np.uint8)
files["lossy-alpha.webp"] = webp(alpha, "RGBA", quality=75)
files["lossless.webp"] = webp(b, lossless=True)
files["lossless-alpha.webp"] = webp(alpha, "RGBA", lossless=True, exact=True)

expected = []
for name, data in files.items():
    with open("pictures/" + name, "wb") as f:
        f.write(data)
    img = Image.open(io.BytesIO(data))
    rgb = np.array(img.convert("RGB"))
    expected.append({"file": name, "height": rgb.shape[0], "width": rgb.shape[1], "rgb": base64.b64encode(rgb.tobytes()).decode()})
with open("pictures.json", "w") as f:
    json.dump(expected, f, indent=0)
    f.write("\n")
