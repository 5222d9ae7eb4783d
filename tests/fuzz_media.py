"""The doors of images and clips, for tests/fuzz.py."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import av
import numpy as np
from av.video.stream import VideoStream
from fuzz import Case, damaged, door
from PIL import Image

import autoregress as ar
from autoregress.data import Reading

NOISE = np.random.default_rng(0).integers(0, 256, (24, 32, 4), np.uint8)
EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"  # on its side
# Kinds of image files: the suffix, the mode, and options of Pillow's writers.
IMAGES: list[tuple[str, str, dict[str, Any]]] = [
    *((".png", mode, {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
    (".png", "RGB", {"save_all": True, "append_images": [Image.fromarray(NOISE[::-1, :, :3])]}),
    *((".jpg", mode, {}) for mode in ("L", "RGB", "CMYK")),
    *((".jpg", "RGB", {"progressive": True}), (".jfif", "RGB", {"exif": EXIF})),
    *((".tif", mode, {}) for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK", "I;16", "F")),
    *((".tif", "RGB", {"compression": f"tiff_{kind}"}) for kind in ("lzw", "deflate", "jpeg")),
    (".tif", "RGB", {"save_all": True, "append_images": [Image.fromarray(NOISE[::-1, :, :3])]}),
    (".gif", "P", {}),
    (".gif", "L", {"save_all": True, "append_images": [Image.fromarray(NOISE[::-1, :, 0])]}),
    *((".webp", mode, {"lossless": lossless}) for mode in ("RGB", "RGBA") for lossless in (0, 1)),
    *((suffix, "RGB", {}) for suffix in (".avif", ".jp2", ".j2k", ".bmp", ".ppm", ".tga", ".ico")),
    *((suffix, "RGB", {}) for suffix in (".pcx", ".sgi", ".dds", ".qoi", ".jpx", ".dib")),
    *((".tga", "P", {"compression": "tga_rle"}), (".bmp", "1", {}), (".bmp", "P", {})),
    *((".xbm", "1", {}), (".msp", "1", {}), (".pbm", "1", {})),
    (".pgm", "L", {}),
]  # fmt: skip
# Old versions of Pillow do not write them all.
IMAGES = [kind for kind in IMAGES if Image.registered_extensions().get(kind[0]) in Image.SAVE]
CLIPS = (
    *((".mkv", "ffv1", "bgr0"), (".mkv", "ffv1", "gray16le"), (".mp4", "libx264", "yuv420p")),
    *((".avi", "mpeg4", "yuv420p"), (".webm", "libvpx", "yuv420p"), (".gif", "gif", "rgb8")),
    *((".ts", "mpeg2video", "yuv420p"), (".apng", "apng", "rgba"), (".mov", "mjpeg", "yuvj420p")),
    *((".y4m", "rawvideo", "yuv420p"), (".wmv", "wmv2", "yuv420p"), (".flv", "flv", "yuv420p")),
    (".mkv", "libx265", "yuv420p10le"),
)


@cache
def _image(kind: int) -> tuple[str, bytes]:
    suffix, mode, options = IMAGES[kind]
    match mode:
        case "I;16":
            image = Image.fromarray(NOISE[..., 0].astype(np.uint16) * 257)
        case "F":
            image = Image.fromarray(NOISE[..., 0].astype(np.float32))
        case _:
            image = Image.fromarray(NOISE).convert(mode)
    content = io.BytesIO()
    image.save(content, Image.registered_extensions()[suffix], **options)
    return suffix, content.getvalue()


@cache
def _clip(kind: int) -> tuple[str, bytes]:
    suffix, codec, pixels = CLIPS[kind]
    content = io.BytesIO()
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    with av.open(content, "w", format=CONTAINERS.get(suffix, suffix[1:])) as file:
        stream = file.add_stream(codec, rate=25, options=options)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width, stream.pix_fmt = 64, 64, pixels
        for t in range(4):
            values = np.roll(NOISE[:16, :16].repeat(4, 0).repeat(4, 1), 2 * t, axis=1)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(values), format="rgba")
            file.mux(stream.encode(frame.reformat(format=pixels)))
        file.mux(stream.encode(None))
    return suffix, content.getvalue()


CONTAINERS = {".mkv": "matroska", ".ts": "mpegts", ".y4m": "yuv4mpegpipe", ".wmv": "asf"}


@door
def image(random: Random, folder: Path) -> Case:
    suffix, content = _image(random.randrange(len(IMAGES)))
    reading = Reading(
        size=random.choice((None, (5, 6))),
        grey=random.choice((None, True, False)),
        levels=random.choice((None, 2)),
    )
    return _case(folder, f"bad{suffix}", damaged(content, random), reading)


@door
def clip(random: Random, folder: Path) -> Case:
    suffix, content = _clip(random.randrange(len(CLIPS)))
    reading = Reading(
        size=random.choice((None, (5, 6))), frames=random.choice((1, 2)), cache=folder / "cache"
    )
    return _case(folder, f"bad{suffix}", damaged(content, random), reading)


def _case(folder: Path, name: str, content: bytes, reading: Reading) -> Case:
    path = folder / "files" / name
    path.parent.mkdir()
    path.write_bytes(content)

    def opened() -> None:
        source = ar.data.open(path, reading)
        x = source[:]
        source.symbols.check(x)
        assert len(x) > 0
        assert x.shape[1:] == source.event_shape

    return str(path), opened
