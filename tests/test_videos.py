"""Clips come out of video files as they went in, once decoded stay so, and damage is named."""

from __future__ import annotations

import os
import signal
import struct
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.audio.stream import AudioStream
from av.video.stream import VideoStream
from conftest import run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

import autoregress as ar
from autoregress.data import VideoFolder, picture, read, write
from autoregress.data.formats import decoding
from autoregress.data.formats.videos import SUFFIXES

quick = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch) -> Path:
    """Each test has a cache of its own, where a user has it by default."""
    home = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    return home / "autoregress" / "clips"


def film(frames: int, height: int = 12, width: int = 16, seed: int = 0) -> np.ndarray:
    """A picture that drifts, (frames, H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    still = rng.integers(0, 256, (height // 4, width // 4, 3)).repeat(4, 0).repeat(4, 1)
    return np.stack([np.roll(still, t, axis=1) for t in range(frames)]).astype(np.uint8)


def numbered(frames: int, height: int = 8, width: int = 8) -> np.ndarray:
    """Frame t is the colour (t, 2 t, 100)."""
    t = np.arange(frames)
    colours = np.stack([t, 2 * t, np.full_like(t, 100)], axis=1).astype(np.uint8)
    return colours[:, None, None].repeat(height, 1).repeat(width, 2)


def save(path: Path, frames: np.ndarray, codec="ffv1", pixels="bgr0", **options) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    with av.open(path, "w") as file:
        stream = file.add_stream(codec, rate=10, options={k: str(v) for k, v in options.items()})
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        kind = "rgb24" if frames.ndim == 4 else "gray"
        for values in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(values), format=kind)
            file.mux(stream.encode(frame.reformat(format=pixels)))
        file.mux(stream.encode(None))
    return path


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def everything(clips: VideoFolder) -> torch.Tensor:
    return clips[torch.arange(len(clips))]


# --------------------------------------------------------------------------------- lossless


@pytest.mark.slow
@given(
    count=st.integers(1, 3),
    frames=st.integers(1, 5),
    channels=st.sampled_from([1, 3]),
    height=st.integers(1, 18),
    width=st.integers(1, 18),
    levels=st.integers(2, 256),
    seed=st.integers(0, 100),
)
@quick
def test_mkv_loses_nothing(tmp_path_factory, count, frames, channels, height, width, levels, seed):
    folder = tmp_path_factory.mktemp("mkv")
    generator = torch.Generator().manual_seed(seed)
    shape = (count, frames, channels, height, width)
    x = torch.randint(0, levels, shape, generator=generator, dtype=torch.uint8)
    files = write(folder / "a.mkv", x, levels)
    names = ["a.mkv"] if count == 1 else [f"a-{n:03}.mkv" for n in range(count)]
    assert [file.name for file in files] == names
    data = read(folder, frames=frames, levels=levels)
    assert data.levels == levels
    assert torch.equal(data.x, x)
    assert torch.equal(read(files[-1], frames=frames, levels=levels).x, x[-1:])


def test_all_256_levels_survive(tmp_path):
    ramp = torch.arange(256, dtype=torch.uint8).view(1, 1, 1, 16, 16)
    for channels in (1, 3):
        x = torch.cat([ramp, ramp.flip(-1), ramp.mT][:channels], dim=2)
        write(tmp_path / "a.mkv", x, 256)
        assert torch.equal(read(tmp_path / "a.mkv", frames=1).x, x)


# ---------------------------------------------------------------------------------- reading


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.MOV", "mpeg4", "yuv420p"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.mkv", "ffv1", "bgr0"),
        ("a.gif", "gif", "rgb8"),
    ],
)
def test_every_kind_of_file(tmp_path, name, codec, pixels):
    frames = film(9, 32, 48)
    save(tmp_path / name, frames, codec, pixels)
    clips = VideoFolder(tmp_path, frames=4)
    assert clips.event_shape == (4, 3, 32, 48)
    assert len(clips) == 2
    shown = everything(clips).flatten(0, 1).movedim(1, -1).numpy().astype(int)
    assert np.abs(shown - frames[:8]).mean() < 30  # lossy, but of the same things


CODECS = {
    **dict.fromkeys([".3g2", ".3gp", ".avi", ".m4v", ".mkv", ".mov", ".mp4"], "mpeg4"),
    **dict.fromkeys([".f4v", ".h264", ".m2ts", ".mts", ".ts"], "libx264"),
    **dict.fromkeys([".m2v", ".mpeg", ".mpg", ".vob"], "mpeg2video"),
    **dict.fromkeys([".ivf", ".ogv", ".webm"], "libvpx"),
    **dict.fromkeys([".mjpeg", ".mjpg"], "mjpeg"),
    **dict.fromkeys([".asf", ".wmv"], "wmv2"),
    **{".apng": "apng", ".flv": "flv", ".gif": "gif", ".hevc": "libx265"},
    **{".nut": "ffv1", ".y4m": "rawvideo"},
}
PIXELS = {"apng": "rgb24", "gif": "rgb8", "mjpeg": "yuvj420p"}


@pytest.mark.slow
def test_every_container_is_read(tmp_path):
    """Those that PyAV writes are; the others are further names of these, or old."""
    for suffix, codec in CODECS.items():
        path = tmp_path / f"{suffix[1:]}{suffix}"
        quiet = {"x265-params": "log-level=none"} if codec == "libx265" else {}
        save(path, film(5, 64, 96), codec, PIXELS.get(codec, "yuv420p"), **quiet)
    clips = VideoFolder(tmp_path, frames=2)
    assert clips.skipped == []
    assert {path.suffix for path in clips.files} == CODECS.keys()
    assert set(SUFFIXES) - CODECS.keys() == {
        *(".amv", ".divx", ".dv", ".m1v", ".mk3d", ".mpe", ".mxf", ".qt", ".rm", ".rmvb"),
    }


@pytest.mark.slow
@given(
    length=st.integers(1, 40),
    frames=st.integers(1, 6),
    stride=st.integers(1, 4),
    step=st.none() | st.integers(1, 9),
    levels=st.sampled_from([2, 17, 256]),
)
@quick
def test_clips_are_the_frames_that_they_should_be(
    tmp_path_factory, length, frames, stride, step, levels
):
    path = save(tmp_path_factory.mktemp("steps") / "a.mkv", numbered(length))
    span = (frames - 1) * stride + 1
    if length < span:
        with pytest.raises(ValueError, match=rf"too short: it has {length} frames, .*{span}"):
            VideoFolder(path, frames=frames, stride=stride, step=step)
        return
    clips = VideoFolder(path, frames=frames, stride=stride, step=step, levels=levels)
    starts = range(0, length - span + 1, step or frames * stride)
    assert len(clips) == len(starts)
    picked = torch.tensor([len(starts) - 1, 0])
    x = clips[picked]
    assert x.dtype == torch.uint8
    assert x.shape == (2, *clips.event_shape) == (2, frames, 3, 8, 8)
    for clip, i in zip(x, picked.tolist(), strict=True):
        t = starts[i] + stride * np.arange(frames)
        assert clip[:, 0, 0, 0].tolist() == (t * levels // 256).tolist()
        assert clip[:, 1, 5, 3].tolist() == (2 * t * levels // 256).tolist()
        assert (clip[:, 2] == 100 * levels // 256).all()


def test_the_centre_is_cropped_and_resampled(tmp_path):
    frames = film(3, 24, 64)
    path = save(tmp_path / "a.mkv", frames)
    x = read(path, frames=3, size=(8, 12)).x[0]
    for shown, frame in zip(x, frames, strict=True):
        fitted = ImageOps.fit(Image.fromarray(frame), (12, 8), Image.Resampling.LANCZOS)
        assert shown.permute(1, 2, 0).tolist() == np.asarray(fitted).tolist()
    grey = read(path, frames=3, size=(24, 64), grey=True).x[0, :, 0]
    luma = [np.asarray(Image.fromarray(frame).convert("L")).tolist() for frame in frames]
    assert grey.tolist() == luma


def test_own_size_or_64(tmp_path):
    save(tmp_path / "a.mkv", film(2, 8, 12))
    assert VideoFolder(tmp_path, frames=1).event_shape == (1, 3, 8, 12)
    save(tmp_path / "b.mkv", film(2, 12, 8))
    assert VideoFolder(tmp_path, frames=1).event_shape == (1, 3, 64, 64)
    save(tmp_path / "c" / "c.mkv", film(2, 72, 64))
    assert VideoFolder(tmp_path / "c", frames=1).event_shape == (1, 3, 64, 64)


def test_grey_if_all_are(tmp_path):
    save(tmp_path / "a.mkv", film(2)[..., 0], pixels="gray")
    assert VideoFolder(tmp_path, frames=2).event_shape == (2, 1, 12, 16)
    assert VideoFolder(tmp_path, frames=2, grey=False).event_shape == (2, 3, 12, 16)
    save(tmp_path / "b.mkv", film(2))
    assert VideoFolder(tmp_path, frames=2).event_shape == (2, 3, 12, 16)


# (a, b, c, d): a pixel at (x, y) is shown at (a x + c y, b x + d y).
MATRICES = {
    (1, 0, 0, 1): [[0, 1, 2], [3, 4, 5]],
    (-1, 0, 0, 1): [[2, 1, 0], [5, 4, 3]],
    (-1, 0, 0, -1): [[5, 4, 3], [2, 1, 0]],
    (1, 0, 0, -1): [[3, 4, 5], [0, 1, 2]],
    (0, 1, 1, 0): [[0, 3], [1, 4], [2, 5]],
    (0, 1, -1, 0): [[3, 0], [4, 1], [5, 2]],
    (0, -1, -1, 0): [[5, 2], [4, 1], [3, 0]],
    (0, -1, 1, 0): [[2, 5], [1, 4], [0, 3]],
}


def with_matrix(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Puts a display matrix, in units of 1 / 65536, into an mp4 that has none."""

    def packed(a: int, b: int, c: int, d: int) -> bytes:
        return struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)

    content = path.read_bytes()
    at = content.index(packed(1 << 16, 0, 0, 1 << 16), content.index(b"tkhd"))
    path.write_bytes(content[:at] + packed(*matrix) + content[at + 36 :])


@pytest.mark.parametrize("matrix", MATRICES, ids=str)
def test_a_film_is_turned_and_mirrored_as_it_says(tmp_path, matrix):
    blocks = np.arange(6).reshape(2, 3).repeat(16, 0).repeat(16, 1).astype(np.uint8) * 40
    frames = blocks[None, :, :, None].repeat(2, 0).repeat(3, 3)
    path = save(tmp_path / "a.mp4", frames, "libx264", "yuv420p", crf=1)
    with_matrix(path, tuple(n << 16 for n in matrix))
    x = read(path, frames=2).x[0, 0, 0, 8::16, 8::16].numpy()
    assert np.rint(x / 40).tolist() == MATRICES[matrix]


def test_a_film_at_an_angle_is_skipped(tmp_path):
    path = save(tmp_path / "a.mp4", film(2, 32, 32), "libx264", "yuv420p")
    with_matrix(path, (46341, 46341, -46341, 46341))
    with pytest.raises(ValueError, match=r"a\.mp4 \(it is to be shown at an angle"):
        read(path, frames=2)


@pytest.mark.parametrize(
    ("codec", "pixels", "how"),
    [
        ("ffv1", "gray16le", "reduced from 16 to 8 bits a value"),
        ("ffv1", "yuv444p10le", "reduced from 10 to 8 bits a value"),
        ("ffv1", "bgra", "laid over white"),
    ],
)
def test_what_a_clip_does_not_show_is_said(tmp_path, codec, pixels, how):
    save(tmp_path / "b.mkv", film(4))
    path = tmp_path / "a.mkv"
    with av.open(path, "w") as file:
        stream = file.add_stream(codec, rate=10)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width, stream.pix_fmt = 12, 16, pixels
        for values in np.random.default_rng(0).integers(0, 256, (4, 12, 16, 4), np.uint8):
            frame = av.VideoFrame.from_ndarray(values, format="rgba")
            file.mux(stream.encode(frame.reformat(format=pixels)))
        file.mux(stream.encode(None))
    for _ in range(2):  # also when it comes from the cache
        clips = VideoFolder(tmp_path, frames=4)
        assert [(change.path, change.how) for change in clips.account.changed] == [(path, how)]
    account = VideoFolder(tmp_path, frames=3, grey=True, size=(4, 4), levels=2).account
    found = {name: set[str]() for name in ("a.mkv", "b.mkv")}
    for change in account.changed:
        found[change.path.name].add(change.how)
    both = {
        *("scaled or cropped to 4 × 4", "reduced to 2 levels"),
        "cut into clips that leave some frames out",
    }
    assert found["b.mkv"] == both | {"turned grey"}
    assert found["a.mkv"] == both | {how} | (set() if "gray" in pixels else {"turned grey"})
    assert f"1 of 2 videos was {how}: a.mkv" in account.complaint


@given(
    length=st.integers(1, 12),
    frames=st.integers(1, 4),
    stride=st.integers(1, 3),
    step=st.none() | st.integers(1, 5),
    levels=st.sampled_from([2, 17, 256]),
    values=st.sampled_from([2, 17, 256]),
)
@quick
def test_a_film_is_changed_unless_its_clips_restore_it(
    tmp_path_factory, length, frames, stride, step, levels, values
):
    """As they do if they hold each frame, of values that stand for the levels."""
    path = tmp_path_factory.mktemp("film") / "a.mkv"
    shape = (1, length, 1, 5, 4)
    x = torch.randint(values, shape, generator=torch.Generator().manual_seed(0))
    write(path, x, values)
    if length <= (frames - 1) * stride:
        return
    clips = VideoFolder(path, frames=frames, stride=stride, step=step, levels=levels)
    starts = range(0, length - (frames - 1) * stride, step or frames * stride)
    shown = {start + stride * t for start in starts for t in range(frames)}
    same = read(write(path.with_name("b.mkv"), clips[:1], levels)[0], frames=frames).x
    exact = torch.equal(same, read(path, frames=frames, stride=stride, step=2**40).x)
    all_values = read(path, frames=length).x.unique().tolist()
    kept = all(v in read_back(levels) for v in all_values)
    assert kept <= exact
    assert (clips.complaint == "") == (kept and shown == set(range(length)))


def read_back(levels: int) -> set[int]:
    """The values 0…255 that a clip of so many levels is written with."""
    from autoregress.data.formats.pixels import restored

    return set(restored(levels).tolist())


def test_clips_of_folders_named_like_splits(tmp_path):
    for name, value in (("training", 1), ("validation", 2), ("test", 3)):
        save(tmp_path / name / "a.mkv", np.full((4, 4, 4, 3), value, np.uint8))
    for split, value in (("train", 1), ("valid", 2), ("test", 3)):
        clips = ar.data.open(tmp_path, ar.data.Reading(frames=2), split=split)
        assert clips[:].unique().tolist() == [value]
        assert "has the splits training, validation, test" in clips.account.remarks[0]
    assert len(VideoFolder(tmp_path, frames=2)) == 6


# ------------------------------------------------------------------------------------ cache


def test_a_file_is_decoded_once(tmp_path, cache, monkeypatch):
    for name in "ab":
        save(tmp_path / f"{name}.mkv", numbered(10))
    first = everything(VideoFolder(tmp_path, frames=5))
    assert sorted(p.suffix for p in cache.iterdir()) == [".json"] * 4 + [".npy"] * 2

    decoded = []
    true = decoding._frames
    monkeypatch.setattr(decoding, "_frames", lambda path: decoded.append(path.name) or true(path))
    assert torch.equal(everything(VideoFolder(tmp_path, frames=5)), first)
    # Frames, stride, step and levels are of no account for what is kept.
    VideoFolder(tmp_path, frames=2, stride=3, step=1, levels=4)
    assert decoded == []

    VideoFolder(tmp_path, frames=5, size=(4, 4), grey=False)
    assert decoded == ["a.mkv", "b.mkv"]
    save(tmp_path / "b.mkv", numbered(10) + 50)
    os.utime(tmp_path / "b.mkv", ns=(1, 1))
    changed = everything(VideoFolder(tmp_path, frames=5))
    assert decoded[2:] == ["b.mkv", "b.mkv"]  # its first frame, then all
    assert torch.equal(changed[:2], first[:2])
    assert torch.equal(changed[2:], first[2:] + 50)


def test_the_cache_can_be_anywhere(tmp_path, cache):
    path = save(tmp_path / "a.mkv", numbered(4))
    VideoFolder(path, frames=2, cache=tmp_path / "my" / "cache")
    assert len(list((tmp_path / "my" / "cache").glob("*.npy"))) == 1
    assert not cache.exists()


def test_who_dies_while_decoding_leaves_nothing_half_read(tmp_path, cache, monkeypatch):
    path = save(tmp_path / "a.mkv", numbered(9))
    true = decoding.pixels  # pyright: ignore[reportPrivateImportUsage]
    left = [4]

    def interrupted(image, **options):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return true(image, **options)

    monkeypatch.setattr(decoding, "pixels", interrupted)
    with pytest.raises(KeyboardInterrupt):
        VideoFolder(path, frames=3)
    assert list(cache.glob("*.npy")) == list(cache.glob(".part*")) == []

    # A kill leaves the unfinished file where it is, under a name that nobody reads.
    left[0] = 4
    monkeypatch.setattr(os, "unlink", lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        VideoFolder(path, frames=3)
    assert list(cache.glob("*.npy")) == []
    assert len(list(cache.glob(".part*"))) == 1
    monkeypatch.setattr(decoding, "pixels", true)
    assert len(VideoFolder(path, frames=3)) == 3


# ---------------------------------------------------------------------------------- damaged


def test_damaged_and_short_files_are_named(tmp_path):
    save(tmp_path / "good.mkv", film(12))
    save(tmp_path / "short.mkv", film(3))
    truncate(save(tmp_path / "half.mkv", film(12, seed=1)))
    truncate(save(tmp_path / "half.mp4", film(12, 32, 32), "libx264", "yuv420p"))
    truncate(save(tmp_path / "half.webm", film(12, 32, 32), "libvpx-vp9", "yuv420p"))
    truncate(save(tmp_path / "half.gif", film(12, 32, 32), "gif", "rgb8"))
    scratched = save(tmp_path / "scratched.mkv", film(12, 32, 32), level=3, slicecrc=1)
    content = bytearray(scratched.read_bytes())
    content[len(content) // 2] ^= 255
    scratched.write_bytes(content)
    (tmp_path / "none.avi").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("no video at all")
    (tmp_path / "._good.mkv").write_text("nobody looks at this one")

    clips = VideoFolder(tmp_path, frames=4)
    assert [file.name for file in clips.files] == ["good.mkv"]
    assert len(clips) == 3
    assert {path.name for path, _ in clips.skipped} == {
        *("short.mkv", "half.mkv", "half.mp4", "half.webm", "half.gif"),
        *("scratched.mkv", "none.avi", "text.mp4"),
    }
    reasons = {path.name: reason for path, reason in clips.skipped}
    assert reasons["short.mkv"] == "too short: it has 3 frames, a clip needs 4"
    assert "CRC mismatch" in reasons["scratched.mkv"]
    assert "ended prematurely" in reasons["half.mkv"]
    assert clips.complaint.startswith("8 files skipped: ")
    assert "short.mkv (too short" in clips.complaint
    assert "\n" not in clips.complaint

    (tmp_path / "good.mkv").unlink()
    with pytest.raises(ValueError, match=r"holds no clip that can be read: 8 files skipped: half"):
        VideoFolder(tmp_path, frames=4)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_a_film_cut_by_stream_copy_is_kept(tmp_path, suffix):
    """Its decoder complains of references before the cut, though each frame is right."""
    groups = {"keyint": 20, "min-keyint": 20, "open-gop": 1, "bframes": 3, "ref": 5, "scenecut": 0}
    options = ":".join(f"{name}={value}" for name, value in groups.items())
    whole = save(
        tmp_path / f"whole{suffix}",
        film(90, 64, 96),
        "libx264",
        "yuv420p",
        **{"x264-params": options},
    )
    cuts = []
    for first in (1, 2, 3):
        cuts.append(tmp_path / f"cut-{first}{suffix}")
        with av.open(whole) as file, av.open(cuts[-1], "w") as cut:
            stream = file.streams.video[0]
            copied = cut.add_stream_from_template(stream)
            keys = 0
            for packet in file.demux(stream):
                keys += packet.is_keyframe
                if keys > first and packet.dts is not None:
                    packet.stream = copied
                    cut.mux(packet)
    clips = VideoFolder(tmp_path, frames=1, size=(64, 96))
    assert clips.skipped == []
    assert clips.files == [*cuts, whole]
    frames = {file: clips[clips._clips[:, 0] == n].numpy() for n, file in enumerate(clips.files)}
    assert len(frames[whole]) == 90
    right = {frame.tobytes() for frame in frames[whole]}
    for cut in cuts:
        assert len(frames[cut]) >= 10
        assert {frame.tobytes() for frame in frames[cut]} <= right


@pytest.mark.slow
def test_compress_refuses_to_leave_frames_out(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ar.save(ar.MADE((2, 3, 4, 4), 256, hidden=(5,)), "run")
    for name, length in (("even.mkv", 4), ("odd.mkv", 5)):
        save(Path(name), numbered(length, 4, 4))
    for name, length in (("even", 4), ("odd", 5)):  # the last clip of the odd one is repeated
        assert run("compress", "run", f"{name}.mkv", "--out", "e.areg") == 0
        assert run("decompress", "run", "e.areg", "--out", "e.mkv") == 0
        clips = [read(file, frames=length).x for file in ("e.mkv", f"{name}.mkv")]
        assert torch.equal(*clips)
    capsys.readouterr()
    more = ["even.mkv", "--stride", 2]
    assert run("compress", "run", *more, "--out", "o.areg") == 2
    assert "was cut into clips that leave some frames out; --fit" in capsys.readouterr().err
    assert run("compress", "run", *more, "--fit", "--out", "o.areg") == 0
    assert "even.mkv was cut into clips that leave some frames out" in capsys.readouterr().err


def test_nothing_is_said_where_nothing_is_skipped(tmp_path):
    clips = VideoFolder(save(tmp_path / "a.mkv", film(4)), frames=4)
    assert clips.skipped == []
    assert clips.complaint == ""


def test_a_file_without_pictures(tmp_path):
    with av.open(tmp_path / "sound.mp4", "w") as file:
        stream = file.add_stream("aac", rate=44100)
        assert isinstance(stream, AudioStream)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        frame.sample_rate = 44100
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    with pytest.raises(ValueError, match=r"sound\.mp4 \(it holds no video\)"):
        VideoFolder(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": 0}, "at least 1, not 0, 1 and 0"),
        ({"stride": 0}, "at least 1"),
        ({"step": 0}, "at least 1"),
        ({"levels": 300}, "2 to 256 levels"),
        ({"size": (0, 3)}, "at least 1 by 1"),
    ],
)
def test_senseless_settings(tmp_path, options, message):
    path = save(tmp_path / "a.mkv", film(2))
    with pytest.raises(ValueError, match=message):
        VideoFolder(path, **options)


def test_no_videos(tmp_path):
    with pytest.raises(ValueError, match="holds no videos, such as"):
        VideoFolder(tmp_path)
    with pytest.raises(ValueError, match="no such file or folder: gone"):
        VideoFolder("gone")


# ------------------------------------------------------------------------------------ split


@pytest.mark.parametrize(("lengths", "count"), [([40, 9], 1), ([9, 40], 1), ([10] * 10, 2)])
def test_the_part_held_out_is_as_large_as_asked(tmp_path, lengths, count):
    for n, length in enumerate(lengths):
        save(tmp_path / f"{n}.mkv", np.full((length, 4, 4, 3), n, np.uint8))
    for seed in range(4):
        held = VideoFolder(tmp_path, frames=3, step=1).split(0.2, seed)[1]
        assert len(held) == count * (min(lengths) - 2)


@pytest.mark.slow
@given(
    lengths=st.lists(st.integers(3, 12), min_size=2, max_size=5),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 1000),
)
@quick
def test_no_file_is_on_both_sides(tmp_path_factory, lengths, fraction, seed):
    folder = tmp_path_factory.mktemp("split")
    for n, length in enumerate(lengths):
        save(folder / f"{n}.mkv", np.full((length, 4, 4, 3), 10 * n, np.uint8))
    clips = VideoFolder(folder, frames=3, step=1)
    torch.manual_seed(seed)  # the global state is not looked at
    kept, held = clips.split(fraction, seed)
    assert sorted([*kept.files, *held.files]) == clips.files
    assert min(len(kept.files), len(held.files)) >= 1
    assert abs(len(held) - fraction * len(clips)) <= max(lengths) - 2
    for part in (kept, held):
        of = {int(path.stem) for path in part.files}
        assert set((everything(part)[:, 0, 0, 0, 0] // 10).tolist()) == of
        assert len(part) == sum(lengths[n] - 2 for n in of)
    again = clips.split(fraction, seed)
    assert [part.files for part in again] == [kept.files, held.files]


def test_a_single_file_is_cut_in_time(tmp_path):
    path = save(tmp_path / "a.mkv", numbered(40))
    clips = VideoFolder(path, frames=4, stride=2, step=3)
    kept, held = clips.split(0.25, 0)
    last = everything(kept)[:, -1, 0, 0, 0]
    first = everything(held)[:, 0, 0, 0, 0]
    assert int(last.max()) < int(first.min())
    assert len(held) == round(0.25 * len(clips))
    assert first.tolist() == everything(clips)[-len(held) :, 0, 0, 0, 0].tolist()
    with pytest.raises(ValueError, match=r"a\.mkv is a single file and too short \(1 clips"):
        VideoFolder(path, frames=30).split(0.5, 0)
    with pytest.raises(ValueError, match=r"between 0 and 1, not 1\.0"):
        clips.split(1.0, 0)


def test_which_clips_they_are_is_known_when_a_run_is_resumed(tmp_path):
    for name in "ab":
        save(tmp_path / "one" / f"{name}.mkv", numbered(10))
        save(tmp_path / "two" / f"{name}.mkv", numbered(10))
    save(tmp_path / "three" / "a.mkv", numbered(12))

    def mark(folder, **options):
        return VideoFolder(tmp_path / folder, **options).digest

    assert mark("one", frames=4) == mark("two", frames=4)
    marks = [mark("one", frames=5), mark("one", frames=4, stride=2), mark("one", frames=4, step=1)]
    marks += [mark("one", frames=4, levels=4), mark("three", frames=4), mark("one", frames=4)]
    assert len(set(marks)) == len(marks)


def test_a_model_learns_from_clips_and_goes_on(tmp_path):
    for n in range(4):
        save(tmp_path / "clips" / f"{n}.mkv", film(6, 4, 4, seed=n))
    clips = VideoFolder(tmp_path / "clips", frames=2, levels=2)
    train, valid = clips.split(0.25, 0)

    def weights(run, *epochs):
        found = {}
        for count in epochs:
            torch.manual_seed(0)
            model = ar.MADE(clips.event_shape, 2, hidden=(8,))
            ar.fit(model, train, valid=valid, run=tmp_path / run, max_epochs=count, quiet=True)
            found = model.state_dict()
        return found

    whole, halves = weights("whole", 4), weights("halves", 2, 4)
    assert all(torch.equal(whole[name], halves[name]) for name in whole)
    score = ar.evaluate(ar.load(tmp_path / "whole"), valid, batch_size=2)
    assert score == ar.evaluate(ar.load(tmp_path / "whole"), valid.data().x, batch_size=2)


# ------------------------------------------------------------------------------------- read


def test_read_knows_videos_from_images(tmp_path):
    path = save(tmp_path / "clips" / "a.mkv", film(20))
    assert read(path).event_shape == (16, 3, 12, 16)
    data = read(tmp_path / "clips", frames=5, stride=2, step=1, levels=4, grey=True, size=(6, 8))
    assert data.x.shape == (12, 5, 1, 6, 8)
    assert data.levels == 4
    assert read(path, levels=(3,) * 4).levels == 3

    Image.new("L", (4, 4)).save(tmp_path / "clips" / "a.png")
    with pytest.raises(ValueError, match=r"both videos \(a\.mkv\) and images \(a\.png\)"):
        read(tmp_path / "clips")
    with pytest.raises(
        ValueError, match=r"images, to which frames does not apply; .* shards and videos"
    ):
        read(tmp_path / "clips" / "a.png", frames=2)
    assert read(tmp_path / "clips" / "a.png").x.shape == (1, 1, 4, 4)


def test_a_gif_is_an_image_unless_frames_are_asked_for(tmp_path):
    x = torch.randint(0, 256, (1, 5, 1, 4, 4), dtype=torch.uint8)
    write(tmp_path / "a.gif", x, 256)
    with pytest.warns(UserWarning, match=r"a\.gif was reduced to the first of its 5 frames"):
        assert len(read(tmp_path).event_shape) == 3
    assert read(tmp_path, frames=5, size=(4, 4), grey=True).event_shape == (5, 1, 4, 4)


def test_channels_come_before_the_picture(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 5, 8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match=r"\(N, T, C, H, W\).*np\.moveaxis\(x, -1, 2\)"):
        read(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.zeros((2, 5, 3, 8, 3), np.uint8))
    assert read(tmp_path / "a.npy").event_shape == (5, 3, 8, 3)


# ------------------------------------------------------------------------------------ shown


def shown(path: Path) -> np.ndarray:
    """The frames of an animation, (T, H, W, 3)."""
    with Image.open(path) as image:
        found = []
        for t in range(getattr(image, "n_frames", 1)):
            image.seek(t)
            found.append(np.asarray(image.convert("RGB")))
        return np.stack(found)


def test_a_gif_shows_greys_and_few_colours_exactly(tmp_path):
    for channels, levels in ((1, 256), (1, 17), (3, 5)):
        x = torch.randint(0, levels, (4, 6, channels, 8, 8))
        write(tmp_path / "a.gif", x, levels)
        frames = shown(tmp_path / "a.gif")
        assert len(frames) == 6
        side = (frames.shape[1] - 1) // 2
        scale = side // 8
        assert frames.shape == (6, 2 * side + 1, 2 * side + 1, 3)
        assert scale * 8 == side > 200
        grey = (255 * x.double() / (levels - 1)).round().long().expand(4, 6, 3, 8, 8)
        for n, (top, left) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
            tile = frames[:, top * (side + 1) :, left * (side + 1) :][:, :side, :side]
            assert (tile[:, ::scale, ::scale] == tile[:, scale - 1 :: scale, ::scale]).all()
            assert tile[:, ::scale, ::scale].tolist() == grey[n].movedim(1, -1).tolist()
        assert (frames[:, side] == 128).all()


def test_a_gif_of_many_colours_comes_near_them(tmp_path):
    ramp = torch.arange(32)
    x = torch.full((1, 3, 3, 32, 32), 90)
    x[:, :, 0], x[:, :, 1] = 8 * ramp[:, None], 8 * ramp
    x[:, 1:, 2] += 60
    write(tmp_path / "a.gif", x, 256)
    frames = shown(tmp_path / "a.gif")[:, ::16, ::16]
    # What stands still does not flicker, though it was in another palette's reach.
    assert np.array_equal(frames[1], frames[-1])
    assert np.abs(frames[0].astype(int) - x[0, 0].movedim(0, -1).numpy()).mean() < 10


def test_the_time_of_a_frame(tmp_path):
    x = torch.arange(4).view(1, 4, 1, 1, 1).expand(1, 4, 1, 4, 4)
    write(tmp_path / "a.gif", x, 4, rate=5)
    with Image.open(tmp_path / "a.gif") as image:
        assert image.info["duration"] == 200
        assert image.info["loop"] == 0
    for name in ("a.mkv", "a.mp4"):
        write(tmp_path / name, x, 4, rate=5)
        with av.open(tmp_path / name, "r") as file:
            assert file.streams.video[0].average_rate == 5


def test_an_mp4_can_be_looked_at(tmp_path):
    for channels, count in ((1, 1), (3, 3)):
        x = torch.zeros(count, 4, channels, 7, 9, dtype=torch.uint8)
        x[:, 2:] = 1
        write(tmp_path / "a.mp4", x, 2)
        with av.open(tmp_path / "a.mp4", "r") as file:
            size = file.streams.video[0].height, file.streams.video[0].width
        assert min(size) > 200
        film = read(tmp_path / "a.mp4", frames=4, size=size).x[0]
        assert film[0, :, :50, :50].max() < 10
        assert film[3, :, :50, :50].min() > 245


def test_a_sheet_has_a_row_for_each_clip(tmp_path):
    x = torch.randint(0, 17, (3, 5, 1, 4, 4))
    write(tmp_path / "a.png", x, 17)
    sheet = np.asarray(picture(x, 17, scale=1))
    assert sheet.shape == (3 * 5 - 1, 5 * 5 - 1)
    grey = (255 * x.double() / 16).round().long()
    for n in range(3):
        for t in range(5):
            tile = sheet[5 * n : 5 * n + 4, 5 * t : 5 * t + 4]
            assert tile.tolist() == grey[n, t, 0].tolist()


def test_what_is_no_film(tmp_path):
    for name in ("a.gif", "a.mp4", "a.mkv"):
        for shape in ((2, 3, 4, 4), (2, 5, 2, 4, 4), (2, 9)):
            with pytest.raises(ValueError, match=r"cannot be shown as a film.*\.npz"):
                write(tmp_path / name, torch.zeros(shape, dtype=torch.uint8), 2)


@pytest.mark.slow
def test_ctrl_c_is_left_to_the_process_that_waits_for_workers():
    ((_, handling),) = decoding.for_each(signal.getsignal, [signal.SIGINT], 2, quiet=True)  # type: ignore
    assert handling == signal.SIG_IGN
