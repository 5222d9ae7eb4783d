"""Lossless compressors of clips, for comparison: FFV1, WebP, PNG, xz.

Each compresses the clips in every way named below, and the smallest size counts, which favours it:
a model has one way only. Symbols are the bytes 0 … K - 1, or spread over 0 … 255 where that helps;
xz is also given bits eight to a byte. All output is decoded again and compared with the clips.

    python benchmarks/video_baselines.py --data clips.npz:test --levels 256
"""

from __future__ import annotations

import io
import itertools
import lzma
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import tyro
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray
from PIL import Image

from autoregress.data import bouncing_digits, read

Clips = NDArray[np.uint8]  # (N, T, C, H, W), C = 1 or 3


@dataclass(frozen=True)
class Coded:
    """The smallest size of a set of clips.

    Attributes:
        bits_per_dim: bits for each of the N T C H W symbols.
        setting: the setting that gave it.
    """

    bits_per_dim: float
    setting: str


def baselines(x: Clips, levels: int = 256) -> dict[str, Coded]:
    """Each of the baselines on the same clips, by name."""
    return {
        "FFV1, a film a clip": ffv1(x, levels),
        "FFV1, one film of all": ffv1(x.reshape(1, -1, *x.shape[2:]), levels),
        "WebP, a frame": webp(x, levels),
        "PNG, a frame": png(x, levels),
        "xz, a clip": xz(x, levels, apart=True),
        "xz, all": xz(x, levels),
    }


def ffv1(x: Clips, levels: int = 256) -> Coded:
    """FFV1 with frames bgr0 or gray, each clip a film of one group of pictures.

    The size is that of the packets and, once for all clips, of the extradata that the decoder
    needs, without the container's headers, times and indices.
    """
    settings = list(itertools.product((1, 3), (0, 1), ("rice", "range_def", "range_tab")))
    return _least(
        x, levels, settings, _ffv1, lambda s: f"level {s[0]}, context {s[1]}, coder {s[2]}"
    )


def webp(x: Clips, levels: int = 256) -> Coded:
    """Lossless WebP, by its slowest method, one file for each frame."""
    options = {"format": "WEBP", "lossless": True, "quality": 100, "method": 6, "exact": True}
    return _least(x, levels, [options], _images, lambda _: "method 6")


def png(x: Clips, levels: int = 256) -> Coded:
    """PNG, optimised, one file for each frame."""
    return _least(x, levels, [{"format": "PNG", "optimize": True}], _images, lambda _: "optimised")


def xz(x: Clips, levels: int = 256, *, apart: bool = False) -> Coded:
    """LZMA2, preset 9e, of the bytes in the order (T, H, W, C), without xz's own headers.

    Args:
        apart: compress each clip on its own instead of all together.
    """
    return _least(
        x,
        levels,
        list(itertools.product(_ARRANGED, ((3, 0, 2), (0, 0, 0), (4, 0, 0)))),
        lambda clips, setting: _xz(clips, setting, levels, apart),
        lambda s: f"{s[0]}, lc {s[1][0]}, lp {s[1][1]}, pb {s[1][2]}",
    )


def _least(
    x: Clips,
    levels: int,
    settings: Iterable[Any],
    size: Callable[[Clips, Any], int],
    name: Callable[[Any], str],
) -> Coded:
    spreads = {1, 255 // (levels - 1)}
    bits, setting, spread = min(
        ((8 * size(x * np.uint8(f), s), s, f) for s in settings for f in sorted(spreads)),
        key=lambda found: found[0],
    )
    spread_out = f", symbols times {spread}" if len(spreads) > 1 else ""
    return Coded(bits / x.size, name(setting) + spread_out)


def _pictures(clip: Clips) -> Iterator[NDArray[np.uint8]]:
    """The frames of a clip, (H, W) or (H, W, 3)."""
    for frame in clip:
        yield np.ascontiguousarray(frame[0] if len(frame) == 1 else frame.transpose(1, 2, 0))


# ------------------------------------------------------------------------------------ FFV1

_CODERS = {"rice": "0", "range_def": "-2", "range_tab": "2"}


def _ffv1(x: Clips, setting: tuple[int, int, str]) -> int:
    level, context, coder = setting
    total = 0
    for n, clip in enumerate(x):
        packets, extradata, pixels = _film(clip, level, context, coder)
        total += sum(map(len, packets)) + (len(extradata) if n == 0 else 0)
        decoder = cast(VideoCodecContext, av.CodecContext.create("ffv1", "r"))
        decoder.height, decoder.width = clip.shape[2:]
        decoder.pix_fmt, decoder.extradata = pixels, extradata or None
        frames = [f for p in packets for f in decoder.decode(av.Packet(p))] + decoder.decode(None)
        kind = "gray" if clip.shape[1] == 1 else "rgb24"
        for frame, picture in zip(frames, _pictures(clip), strict=True):
            assert np.array_equal(frame.to_ndarray(format=kind), picture), "FFV1 lost something"
    return total


def _film(clip: Clips, level: int, context: int, coder: str) -> tuple[list[bytes], bytes, str]:
    """The packets, the extradata and the pixel format."""
    encoder = cast(VideoCodecContext, av.CodecContext.create("ffv1", "w"))
    pixels, kind = ("gray", "gray") if clip.shape[1] == 1 else ("bgr0", "rgb24")
    encoder.height, encoder.width = clip.shape[2:]
    encoder.pix_fmt, encoder.time_base = pixels, Fraction(1, 10)
    options = {"level": level, "context": context, "g": len(clip), "slices": 1, "slicecrc": 0}
    encoder.options = {**{k: str(v) for k, v in options.items()}, "coder": _CODERS[coder]}
    packets = []
    for t, picture in enumerate(_pictures(clip)):
        frame = av.VideoFrame.from_ndarray(picture, format=kind).reformat(format=pixels)
        frame.pts = t
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    return [bytes(p) for p in packets], encoder.extradata or b"", pixels


# ------------------------------------------------------------------------------- WebP, PNG


def _images(x: Clips, options: dict[str, Any]) -> int:
    total = 0
    for picture in itertools.chain.from_iterable(map(_pictures, x)):
        bits = (
            picture.ndim == 2
            and options["format"] == "PNG"
            and not np.isin(picture, [0, 255], invert=True).any()
        )
        image = Image.fromarray(picture)
        file = io.BytesIO()
        (image.convert("1", dither=Image.Dither.NONE) if bits else image).save(file, **options)
        total += file.tell()
        with Image.open(file) as again:
            assert np.array_equal(np.asarray(again.convert(image.mode)), picture), (
                "an image differs"
            )
    return total


# -------------------------------------------------------------------------------------- xz


def _as_it_is(x: Clips) -> Clips:
    return x


def _differences(x: Clips) -> Clips:
    """Differences of each frame from the one before, modulo 256; the first frame stays."""
    return np.diff(x, axis=1, prepend=np.uint8(0))


def _sums(x: Clips) -> Clips:
    return np.cumsum(x, axis=1, dtype=np.uint8)


_ARRANGED = {"frames": (_as_it_is, _as_it_is), "differences": (_differences, _sums)}


def _xz(x: Clips, setting: tuple[str, tuple[int, int, int]], levels: int, apart: bool) -> int:
    there, back = _ARRANGED[setting[0]]
    lc, lp, pb = setting[1]
    # A dictionary larger than the data changes nothing but the time to set it up.
    reach = {"dict_size": max(4096, x[0].nbytes if apart else x.nbytes)}
    preset = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}
    filters = [{**preset, **reach, "lc": lc, "lp": lp, "pb": pb}]
    total = 0
    for part in x[:, None] if apart else x[None]:
        arranged = there(part).transpose(0, 1, 3, 4, 2)
        sizes = []
        for pack in (False, True) if levels == 2 else (False,):
            raw = _packed(arranged) if pack else arranged.tobytes()
            coded = lzma.compress(raw, lzma.FORMAT_RAW, filters=filters)
            again = lzma.decompress(coded, lzma.FORMAT_RAW, filters=filters)
            assert again == raw, "xz lost something"
            sizes.append(len(coded))
        assert np.array_equal(back(arranged.transpose(0, 1, 4, 2, 3)), part)
        total += min(sizes)
    return total


def _packed(values: Clips) -> bytes:
    """Bits, or the parity of differences, packed eight to a byte."""
    return np.packbits(values & 1).tobytes()


# ------------------------------------------------------------------------------------ sets


def robot_clips(file: Path, *, size: int | None = None, held: int = 4) -> tuple[Clips, Clips]:
    """shared/data/video/bridge_robot_64.npz: clips of training and of test, (N, 10, 3, size, size).

    The test has all views of the last episodes: views of the same moment must not be separated.
    """
    with np.load(file, allow_pickle=False) as archive:
        frames = _scaled(archive["frames"], size).transpose(0, 1, 2, 5, 3, 4)
    train, test = (
        np.ascontiguousarray(part.reshape(-1, *part.shape[2:]))
        for part in (frames[:-held], frames[-held:])
    )
    return train, test


def natural_clips(
    file: Path, name: str, *, frames: int = 16, size: int = 64, held: float = 0.2
) -> tuple[Clips, Clips]:
    """One film of shared/data/video/natural_clips_64.npz: clips of training and of test.

    Clips (N, T, 3, size, size) do not overlap; the last ``held`` of them, a fraction, are the test.
    """
    with np.load(file, allow_pickle=False) as archive:
        film = _scaled(archive[name], size)
    count = len(film) // frames
    film = film[len(film) - count * frames :].transpose(0, 3, 1, 2)  # its end is the test's
    clips = np.ascontiguousarray(film.reshape(count, frames, *film.shape[1:]))
    last = max(1, round(held * count))
    return clips[:-last], clips[-last:]


def _scaled(frames: Clips, size: int | None) -> Clips:
    """Frames (…, H, W, 3) by Lanczos to (…, size, size, 3)."""
    if size in (None, frames.shape[-2]):
        return frames
    lanczos = Image.Resampling.LANCZOS
    small = [
        np.asarray(Image.fromarray(frame).resize((size, size), lanczos))
        for frame in frames.reshape(-1, *frames.shape[-3:])
    ]
    return np.stack(small).reshape(*frames.shape[:-3], size, size, 3)


def table(found: dict[str, Coded]) -> str:
    """The figures in Markdown."""
    lines = ["| baseline | bits/dim | setting |", "|---|---:|---|"]
    lines += [f"| {name} | {c.bits_per_dim:.4f} | {c.setting} |" for name, c in found.items()]
    return "\n".join(lines)


def main(data: str, levels: int | None = None, frames: int | None = None) -> None:
    """Measures the baselines on clips.

    Args:
        data: Clips as the command line reads them, with :name for an array of an .npz; or
            "bouncing", for 300 clips of bouncing digits of the test split.
        levels: Number of levels of the symbols; by default as they come.
        frames: Length of the clips of videos.
    """
    if data == "bouncing":
        examples = bouncing_digits(300, split="test").data()
    else:
        examples = read(data, split="test", levels=levels, frames=frames)
    x = examples.x.numpy().astype(np.uint8)
    print(f"{data}: {len(x)} clips of shape {examples.event_shape}\n")
    print(table(baselines(x, int(np.max(examples.levels)))))


if __name__ == "__main__":
    tyro.cli(main)
