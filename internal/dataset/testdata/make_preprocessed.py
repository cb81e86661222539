# Writes preprocessed.json: SHA-256 of what torchvision makes of generated pictures, bit for bit.
# Run in this folder: python3 make_preprocessed.py   (made with torchvision 0.14.1, Pillow 9.4.0)
import hashlib, json
import numpy as np
from PIL import Image
from torchvision import transforms as T

MODES = {m.value: m for m in T.InterpolationMode}

def generated(h, w, c):
    """Pixels [h, w, c] of a linear congruential generator; at odd widths only 0 and 255, to overshoot with bicubic."""
    x, out = h * 65536 + w * 8 + c, np.zeros(h * w * c, np.uint8)
    for i in range(len(out)):
        x = (x * 1664525 + 1013904223) % 2 ** 32
        out[i] = x >> 24
    out = out.reshape(h, w, c)
    if w % 2:
        out = np.where(out < 128, 0, 255).astype(np.uint8)
    return out

# height, width, resize, crop
SIZES = [(32, 32, 0, 0), (32, 32, 32, 0), (28, 28, 32, 32), (37, 23, 8, 8), (37, 23, 64, 50), (23, 37, 20, 0), (24, 40, 7, 5),
         (120, 161, 64, 56), (161, 120, 65, 56), (9, 9, 3, 4), (9, 12, 0, 10), (12, 9, 0, 11), (12, 9, 0, 20), (13, 14, 0, 8),
         (11, 8, 0, 4), (1, 1, 8, 8), (1, 50, 4, 4), (300, 2, 1, 1), (5, 3, 200, 30), (97, 64, 63, 0), (33, 33, 34, 33)]
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]

cases = []
for h, w, resize, crop in SIZES:
    for c in (1, 3):
        pixels = generated(h, w, c)
        img = Image.fromarray(pixels[:, :, 0] if c == 1 else pixels)
        for name in ("bilinear", "bicubic", "nearest"):
            steps = ([T.Resize(resize, MODES[name])] if resize else []) + ([T.CenterCrop(crop)] if crop else [])
            small = T.Compose(steps)(img)
            norm = T.Normalize(MEAN, STD) if c == 3 else T.Normalize([0.1307], [0.3081])
            tensor = norm(T.ToTensor()(small)).numpy()
            cases.append({"height": h, "width": w, "channels": c, "resize": resize, "crop": crop, "interpolation": name,
                          "outHeight": tensor.shape[1], "outWidth": tensor.shape[2],
                          "pixels": hashlib.sha256(np.array(small).tobytes()).hexdigest(),
                          "tensor": hashlib.sha256(tensor.astype("<f4").tobytes()).hexdigest()})
with open("preprocessed.json", "w") as f:
    json.dump(cases, f, indent=0)
    f.write("\n")
