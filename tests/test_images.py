"""Images are read as they are meant, and every reading that loses something says so."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import run
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

import autoregress as ar
from autoregress.data import ImageFolder, read, write
from autoregress.data.formats import image_files
from autoregress.data.formats.pixels import suffixes

# The picture as it is meant, of the values as they are stored (TIFF 6.0, tag 274).
UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).T,
    8: np.rot90,
}
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16")
LOSSLESS = ("png", "tiff", "webp", "bmp", "ppm", "gif", "tga", "jp2", "pcx", "sgi", "dds", "qoi")

many = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def noise(*shape: int, levels: int = 256, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, levels, shape).astype(np.uint8)


def save(path: Path, values: np.ndarray | Image.Image, **options) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    image = values if isinstance(values, Image.Image) else Image.fromarray(values)
    image.save(path, **options)
    return path


def save_png16(path: Path, values: np.ndarray, colour_type: int) -> Path:
    """A PNG of 16 bits a value, (H, W, C); Pillow itself writes only grey ones."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    height, width = values.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    return path


def oriented(path: Path, values: np.ndarray, orientation: int, **options) -> Path:
    exif = Image.Exif()
    exif[274] = orientation
    return save(path, values, exif=exif, **options)


# ------------------------------------------------------------------------------ as they are meant


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif", "a.avif", "packed.tif"])
def test_images_are_upright(tmp_path, name, orientation):
    if Image.registered_extensions().get(Path(name).suffix) not in Image.SAVE:
        pytest.skip("this version of Pillow does not write such files")
    blocks = np.arange(6, dtype=np.uint8).reshape(2, 3).repeat(16, 0).repeat(16, 1) * 40
    exact = {"a.webp": {"lossless": True}, "packed.tif": {"compression": "tiff_lzw"}}
    options = exact.get(name, {"quality": 100})
    path = oriented(tmp_path / name, blocks, orientation, **options)
    expected = UPRIGHT[orientation](blocks)
    x = read(path, grey=True).x[0, 0].numpy().astype(int)
    assert x.shape == expected.shape
    assert np.abs(x - expected)[8::16, 8::16].max() <= 3
    # The same scaled, for which a JPEG is decoded at a fraction of its size.
    size = (2, 3) if orientation < 5 else (3, 2)
    small = read(path, grey=True, size=size).x[0, 0].numpy().astype(int)
    assert np.abs(small - expected[8::16, 8::16]).max() <= 25
    assert ImageFolder(path, grey=True).account.changed == []


@pytest.mark.slow
@given(
    mode=st.sampled_from(MODES),
    kind=st.sampled_from(LOSSLESS),
    levels=st.sampled_from([2, 16, 17, 256]),
    values=st.sampled_from([2, 17, 256]),
    opaque=st.booleans(),
    grey_content=st.booleans(),
    grey=st.none() | st.booleans(),
    size=st.none() | st.just((5, 7)) | st.just((4, 3)),
    seed=st.integers(0, 9),
)
@many
def test_an_image_is_changed_unless_it_can_be_restored(
    tmp_path_factory, mode, kind, levels, values, opaque, grey_content, grey, size, seed
):
    folder = tmp_path_factory.mktemp("restored")
    rgba = np.rint(noise(5, 7, 4, levels=values, seed=seed) * (255 / (values - 1)))
    rgba = rgba.astype(np.uint8)
    if grey_content:
        rgba[..., 1:3] = rgba[..., :1]
    if opaque:
        rgba[..., 3] = 255
    image = Image.fromarray(rgba)
    image = Image.fromarray(noise(5, 7).astype(np.uint16) * 257) if mode == "I;16" else image
    image = image if mode == "I;16" else image.convert(mode)
    options = {"webp": {"lossless": True, "exact": True}, "jp2": {"irreversible": False}}
    try:
        path = save(folder / f"a.{kind}", image, **options.get(kind, {}))
    except (OSError, ValueError, KeyError):
        assume(False)  # this kind of file has no such mode
        return
    with Image.open(path) as stored:
        stored.load()
        deep = stored.mode in ("I;16", "CMYK")
        before = np.asarray((stored if not deep else image.convert("RGB")).convert("RGBA"))

    source = ImageFolder(path, levels=levels, grey=grey, size=size)
    (png,) = write(folder / "a-restored.png", source[:], levels)
    with Image.open(png) as restored:
        after = np.asarray(restored.convert("RGBA"))
    same = not deep and np.array_equal(before, after)
    assert (source.complaint == "") == same
    if after.shape == before.shape:
        assert torch.equal(read(png, levels=levels, grey=source.event_shape[0] == 1).x, source[:])


def test_how_an_image_is_changed_is_said_in_words(tmp_path):
    save(tmp_path / "large.png", noise(9, 9, 3))
    save(tmp_path / "alpha.png", noise(4, 4, 4))
    save(tmp_path / "deep.png", noise(4, 4).astype(np.uint16) * 256)
    save(tmp_path / "print.tif", Image.fromarray(noise(4, 4, 4), mode="CMYK"))
    save(tmp_path / "same.bmp", noise(4, 4) // 128 * 255)
    moving = [Image.fromarray(noise(4, 4, seed=n)) for n in range(3)]
    save(tmp_path / "moving.gif", moving[0], save_all=True, append_images=moving[1:])
    source = ImageFolder(tmp_path, size=(4, 4), grey=True, levels=2)
    said = {
        "large.png": {"scaled or cropped to 4 × 4", "turned grey"},
        "alpha.png": {"laid over white", "turned grey"},
        "deep.png": {"reduced from 16 to 8 bits a value"},
        "print.tif": {"converted from CMYK to RGB", "turned grey"},
        "moving.gif": {"reduced to the first of its 3 frames"},
        "same.bmp": set(),
    }
    for name, how in said.items():
        found = {change.how for change in source.account.changed if change.path.name == name}
        assert found - {"reduced to 2 levels"} == how
        assert ("reduced to 2 levels" in found) == (name != "same.bmp")
    assert "3 of 6 images were turned grey: alpha.png, large.png, print.tif" in source.complaint
    assert "\n" not in source.complaint
    with pytest.warns(UserWarning, match="1 of 6 images was laid over white: alpha.png") as caught:
        read(tmp_path, size=(4, 4), grey=True, levels=2)
    asked_for = ("scaled", "grey", "levels")
    assert not any(word in str(caught[0].message) for word in asked_for)


DEEP = {
    "colour.png": lambda path: save_png16(path, noise(4, 5, 6).view(np.uint16), 2),
    "alpha.png": lambda path: save_png16(path, noise(4, 5, 8).view(np.uint16), 6),
    "grey-alpha.png": lambda path: save_png16(path, noise(4, 5, 4).view(np.uint16), 4),
    "grey.png": lambda path: save_png16(path, noise(4, 5, 2).view(np.uint16), 0),
    "grey.tif": lambda path: save(path, noise(4, 10).view(np.uint16)),
    "grey.jp2": lambda path: save(path, noise(32, 80).view(np.uint16)),
    "grey.pgm": lambda path: path.write_bytes(b"P5 5 4 65535\n" + noise(4, 10).tobytes()),
    "colour.ppm": lambda path: path.write_bytes(b"P6 5 4 65535\n" + noise(4, 5, 6).tobytes()),
}


@pytest.mark.parametrize("name", DEEP)
def test_more_than_8_bits_are_reduced_with_a_word(tmp_path, name):
    DEEP[name](tmp_path / name)
    source = ImageFolder(tmp_path / name)
    how = [change.how for change in source.account.changed]
    assert "reduced from 16 to 8 bits a value" in how
    assert source.event_shape[0] == (1 if name.startswith("grey.") else 3)


def test_the_upper_8_of_16_bits_are_read(tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, (4, 5)).astype(np.uint16)
    save(tmp_path / "a.png", values)
    save(tmp_path / "a.tif", values)
    (tmp_path / "a.pgm").write_bytes(b"P5 5 4 65535\n" + values.astype(">u2").tobytes())
    for name in ("a.png", "a.tif", "a.pgm"):
        with pytest.warns(UserWarning, match="from 16 to 8 bits"):
            assert np.array_equal(read(tmp_path / name).x[0, 0].numpy(), values >> 8)
    save(tmp_path / "b.tif", Image.fromarray(values.astype(np.float32)))
    with pytest.raises(ValueError, match=r"b\.tif cannot be read .* not integers of 8 or 16 bits"):
        read(tmp_path / "b.tif")


def test_every_page_of_a_tiff_is_an_image(tmp_path):
    stack = noise(5, 4, 6)
    images = [Image.fromarray(page) for page in stack]
    save(tmp_path / "a.tif", images[0], save_all=True, append_images=images[1:])
    save(tmp_path / "b.png", noise(4, 6, seed=1))
    data = ImageFolder(tmp_path)
    assert len(data) == 6
    assert np.array_equal(data[:5][:, 0].numpy(), stack)
    assert torch.equal(data[[5, 3]], torch.cat([data[5:], data[3:4]]))
    assert data.complaint == ""
    assert data.subset([0, 1]).digest != data.subset([0, 2]).digest
    images[2] = Image.fromarray(noise(3, 3))
    save(tmp_path / "a.tif", images[0], save_all=True, append_images=images[1:])
    with pytest.raises(ValueError, match=r"a\.tif is \(4, 6\), .*a\.tif is \(3, 3\); .* --size"):
        ImageFolder(tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:IM image format:DeprecationWarning")
def test_every_kind_that_pillow_writes_is_read(tmp_path):
    known = Image.registered_extensions()
    written = set()
    for suffix in sorted(suffixes() - {".gif"}):
        for image in (noise(32, 32, 3), noise(32, 32), noise(32, 32) > 127):
            try:
                save(tmp_path / f"{suffix[1:]}{suffix}", image)
            except (OSError, ValueError, KeyError, AttributeError):
                (tmp_path / f"{suffix[1:]}{suffix}").unlink(missing_ok=True)
                continue
            written.add(suffix)
            break
    assert written >= {".png", ".jpg", ".jfif", ".webp", ".jp2", ".tga", ".tiff", ".ico"}
    source = ImageFolder(tmp_path, size=(8, 8), grey=False)
    assert len(source) == len(written)
    assert source.skipped == []
    assert not {known[suffix] for suffix in suffixes()} & {"EPS", "WMF", "HDF5"}


# ------------------------------------------------------------------------------------- large ones


def test_a_jpeg_is_decoded_at_a_fraction_and_others_have_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(image_files, "MOST_PIXELS", 2**14)
    ramp = np.linspace(0, 255, 512).astype(np.uint8)[None].repeat(256, 0)
    save(tmp_path / "a.jpg", ramp)
    small = read(tmp_path / "a.jpg", size=(8, 16)).x[0, 0].numpy().astype(int)
    fitted = ImageOps.fit(Image.fromarray(ramp), (16, 8), Image.Resampling.LANCZOS)
    assert np.abs(small - np.asarray(fitted)).max() <= 2
    save(tmp_path / "a.png", ramp)
    with pytest.raises(ValueError, match=r"a\.png .* it has 0 megapixels, more than the 0"):
        read(tmp_path / "a.png", size=(8, 16))


def test_an_image_too_large_for_any_model_is_refused_at_once(tmp_path):
    path = save(tmp_path / "a.png", np.zeros((1025, 1024), np.uint8))
    with pytest.raises(ValueError, match=r"a\.png has 1025 × 1024 pixels, .* --size"):
        read(path)
    assert read(path, size=(2, 2)).x.max() == 0


def test_pillow_s_own_limit_is_neither_met_nor_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    path = save(tmp_path / "a.png", noise(40, 40))
    assert read(path).x.shape == (1, 1, 40, 40)
    assert Image.MAX_IMAGE_PIXELS == 100


# ---------------------------------------------------------------------------------------- folders


def test_what_is_hidden_or_no_image_is_passed_over(tmp_path):
    save(tmp_path / "a.png", noise(4, 4))
    for name in (".ipynb_checkpoints/a-checkpoint.png", ".Trash-1000/files/b.png", "b/.c/d.png"):
        save(tmp_path / name, noise(8, 8))
    (tmp_path / "._a.png").write_text("nothing")
    (tmp_path / ".DS_Store").write_text("nothing")
    assert len(read(tmp_path)) == 1
    for name in ("labels.txt", "b/notes.txt", "b/model.h5"):
        (tmp_path / name).write_text("nothing")
    source = ImageFolder(tmp_path)
    assert source.complaint == ""
    assert source.account.remarks == [
        f"{tmp_path}: left out hidden images (4) and other files (2 .txt, 1 .h5)"
    ]
    (tmp_path / "a.png").unlink()
    with pytest.raises(ValueError, match=r"holds no images, .* hidden images \(4\) and other"):
        read(tmp_path)


def test_a_damaged_image_is_skipped_and_named(tmp_path):
    save(tmp_path / "good.png", noise(32, 32))
    content = bytearray(save(tmp_path / "flip.png", noise(32, 32)).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "flip.png").write_bytes(content)
    for name in ("half.png", "half.jpg", "half.tif", "half.webp", "half.gif", "half.bmp"):
        path = save(tmp_path / name, noise(32, 32))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "link.png").symlink_to("gone.png")
    source = ImageFolder(tmp_path)
    assert len(source) == 1
    assert source.complaint.startswith("10 files skipped: empty.png (")
    assert "and 2 more" in source.complaint
    reasons = {path.name: reason for path, reason in source.skipped}
    assert reasons["link.png"] == "No such file or directory"
    assert reasons["text.jpg"] == "it is not an image of a kind that Pillow knows"
    with pytest.warns(UserWarning, match="10 files skipped"):
        read(tmp_path)
    (tmp_path / "good.png").unlink()
    with pytest.raises(ValueError, match="no image that can be read: 10 files skipped: empty"):
        ImageFolder(tmp_path)


def test_images_and_their_account_do_not_depend_on_the_number_of_threads(tmp_path):
    for n in range(20):
        save(tmp_path / f"{n}.png", noise(8, 8, 3 + n % 2, seed=n))
    (tmp_path / "7.png").write_bytes(b"")
    one, four = (ImageFolder(tmp_path, workers=workers) for workers in (1, 4))
    assert one.account == four.account
    assert one.digest == four.digest
    assert torch.equal(one[:], four[:])


def test_an_image_that_goes_bad_while_it_is_used_is_named(tmp_path):
    path = save(tmp_path / "a.png", noise(32, 32))
    source = ImageFolder(tmp_path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"a\.png cannot be read as an image: "):
        source[:]


def test_folders_named_like_splits_are_splits(tmp_path):
    for name, value in (("Train", 1), ("val", 2), ("test", 3), ("extra", 4)):
        for n in range(3):
            save(tmp_path / name / "class" / f"{n}.png", np.full((4, 4), value, np.uint8))
    assert ar.data.open.__globals__["splits"](tmp_path) == ["train", "valid", "test"]
    for split, value in (("train", 1), ("valid", 2), ("test", 3)):
        source = ar.data.open(tmp_path, split=split)
        assert source[:].unique().tolist() == [value]
        assert len(source) == 3
        (remark,) = source.account.remarks
        assert "has the splits Train, val, test: " in remark
        assert "extra/class/0.png is in none of them, nor are 2 more files" in remark
    assert len(ar.data.open(tmp_path)) == 12
    conditional = ar.data.open(tmp_path, ar.data.Reading(condition="folder"), split="test")
    assert conditional.labels == ("class",)
    for inside in (tmp_path / "val", tmp_path / "extra"):
        assert len(ar.data.open(inside, split="train")) == 3  # no splits: the folder itself
    (tmp_path / "test").rename(tmp_path / "more")
    with pytest.raises(ValueError, match=r"has no test examples; it has Train, val: write .*Train"):
        ar.data.open(tmp_path, split="test")
    save(tmp_path / "validation" / "a.png", noise(4, 4))
    with pytest.raises(ValueError, match=r"val and .*validation are both named like the valid"):
        ar.data.open(tmp_path, split="train")


# --------------------------------------------------------------------------------- restored images


@pytest.mark.parametrize("shape", [(1, 4, 5), (3, 5, 4), (4, 5)])
@pytest.mark.parametrize("levels", [2, 7, 16, 255, 256])
def test_a_folder_and_a_png_hold_images_pixel_for_pixel(tmp_path, shape, levels):
    x = torch.randint(levels, (11, *shape), dtype=torch.uint8)
    assert write(tmp_path / "all", x, levels) == [tmp_path / "all"]
    assert sorted(path.name for path in (tmp_path / "all").iterdir())[10] == "010.png"
    back = read(tmp_path / "all", levels=levels)
    assert torch.equal(back.x.reshape(x.shape), x)
    write(tmp_path / "one.png", x[:1], levels)
    assert torch.equal(read(tmp_path / "one.png", levels=levels).x.reshape(1, *shape), x[:1])
    assert {path.name for path in tmp_path.iterdir()} == {"all", "one.png"}


def test_a_folder_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    x = torch.randint(4, (3, 1, 4, 4))
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="exists; give a new or an empty folder"):
        write(tmp_path / "used", x, 4)
    with pytest.raises(ValueError, match=r"file: this format cannot be written; .* or a folder"):
        write(tmp_path / "file", x, 4)
    with pytest.raises(ValueError, match=r"there is no folder .*gone"):
        write(tmp_path / "gone" / "new", x, 4)
    with pytest.raises(ValueError, match=r"clips are written as \.mkv"):
        write(tmp_path / "new", x[None], 4)

    def full(*_: object) -> None:
        raise ValueError("the disk is full")

    monkeypatch.setattr("autoregress.data.formats.images.write_file", full)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match="full"):
        write(tmp_path / "new", x, 4)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture
def model(tmp_path, monkeypatch) -> Path:
    """A folder with a model of colour images of 4 × 4 pixels and two levels."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    ar.save(ar.MADE((3, 4, 4), 2, hidden=(5,)), "run")
    return tmp_path


def test_compress_refuses_what_it_could_not_restore(model, capsys):
    for n in range(3):
        save(Path(f"images/{n}.png"), noise(4, 4, 3, levels=2, seed=n) * 255)
    assert run("compress", "run", "images", "--out", "i.areg") == 0
    assert run("decompress", "run", "i.areg", "--out", "restored") == 0
    assert capsys.readouterr().err == ""
    for n in range(3):
        with Image.open(f"images/{n}.png") as one, Image.open(f"restored/{n}.png") as other:
            assert one.tobytes() == other.tobytes()

    save(Path("images/photo.jpg"), noise(40, 30, 3))
    Path("images/broken.png").write_text("nothing")
    before = Path("i.areg").read_bytes()
    assert run("compress", "run", "images", "--out", "i.areg") == 2
    said = capsys.readouterr().err
    assert "images would not be restored: 1 file skipped: broken.png (" in said
    assert "1 of 4 images was reduced to 2 levels: photo.jpg" in said
    assert "--fit" in said
    assert said.count("\n") == 1
    assert Path("i.areg").read_bytes() == before
    assert run("compress", "run", "images", "--fit", "--out", "i.areg") == 0
    said = capsys.readouterr().err
    assert "1 of 4 images was reduced to 2 levels: photo.jpg" in said
    assert ".jpg come back as .png" in said


@pytest.mark.parametrize(
    "verb", [["evaluate", "run", "--data"], ["score", "run", "--out", "s.csv"]]
)
def test_measuring_says_what_it_measures(model, capsys, verb):
    save(Path("images/a.png"), noise(4, 4, 3, levels=2) * 255)
    assert run(*verb, "images") == 0
    assert "images" not in capsys.readouterr().err
    save(Path("images/b.png"), noise(12, 12, 3, levels=2) * 255)
    Path("images/notes.txt").write_text("nothing")
    assert run(*verb, "images") == 0
    said = capsys.readouterr().err
    assert "1 of 2 images was scaled or cropped to 4 × 4 and reduced to 2 levels: b.png" in said
    assert "images: left out other files (1 .txt)" in said
    assert said.count("\n") == 1


def test_train_takes_the_splits_and_says_so(model, capsys):
    for name, count in (("train", 6), ("val", 2), ("test", 3)):
        for n in range(count):
            save(Path("images", name, f"{n}.png"), noise(4, 4, 3, seed=n) // 128 * 255)
    quick = ["--max-epochs", 1, "--hidden", 4, "--levels", 2, "--size", 2, 3]
    assert run("train", "made", "--data", "images", "--run", "new", *quick) == 0
    said = capsys.readouterr()
    assert "scaled" not in said.err  # as was asked for
    assert "6 training and 2 validation examples" in said.out
    assert "images has the splits train, val, test: train is read" in said.err
    assert run("evaluate", "new", "--data", "images") == 0
    said = capsys.readouterr()
    assert "(3 examples)" in said.out
    assert "test is read" in said.err


def test_nothing_of_pillow_s_own_is_said(model, capsys):
    path = save(Path("a.tif"), noise(4, 4, 3, levels=2) * 255)
    content = bytearray(path.read_bytes())
    content[-20:] = b""  # its directory of tags is cut
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert run("evaluate", "run", "--data", "a.tif") in (0, 2)
    assert "Warning" not in capsys.readouterr().err
