"""decode: every kind of file becomes upright RGB, every damaged one raises ImageError."""

import io
import os
import pickle
import struct
import warnings
import zlib

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, JpegImagePlugin, features

from tinynet.data import ImageError, decode
from tinynet.data.prepare import prepare

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def smooth(height, width):
    """A color gradient, which JPEG and resizing change little: uint8 (height, width, 3)."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([255 * y / height, 255 * x / width, 128 + 0 * x], axis=2).astype(np.uint8)


NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
SMALL, LARGE = smooth(16, 16), smooth(40, 60)
BLOCKS = np.uint8([[RED, RED, BLUE], [RED, RED, WHITE]]).repeat(2, axis=0)
GRAY = smooth(8, 9)[:, :, :1]
SIXTEEN_BIT = Image.fromarray(np.array([[0, 255, 256], [0x7FFF, 0x8000, 0xFFFF]], np.uint16))
HIGH_BYTE = np.array([[0, 0, 1], [127, 128, 255]])[:, :, None]
HALF_TRANSPARENT = Image.fromarray(np.array([[(*BLUE, 255), (0, 0, 0, 0)]], np.uint8))
CMYK = Image.new("RGB", (16, 16), RED).convert("CMYK")
PALETTE = Image.new("RGB", (4, 4), GREEN).convert("P", palette=Image.Palette.ADAPTIVE)


def orientation_tag(number):
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


def save(image, path, **options):
    image.save(path, **options)
    return path


def encoded(pixels, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    file.seek(0)
    return file


@pytest.mark.parametrize("kind, image, options, side, expected, tolerance", [
    *((kind, Image.fromarray(BLOCKS), {}, None, BLOCKS, 0) for kind in ("png", "bmp", "ppm", "tif", "gif")),
    ("jpg", Image.fromarray(LARGE), {"quality": 95}, None, LARGE, 11),
    pytest.param("webp", Image.fromarray(LARGE), {"quality": 95}, None, LARGE, 11,
                 marks=pytest.mark.skipif(not features.check("webp"), reason="this Pillow has no WebP")),
    ("png", Image.fromarray(GRAY[:, :, 0]), {}, None, GRAY, 0),
    ("jpg", Image.fromarray(GRAY[:, :, 0]), {}, None, GRAY, 7),
    ("png", SIXTEEN_BIT, {}, None, HIGH_BYTE, 0),
    ("tif", SIXTEEN_BIT, {}, None, HIGH_BYTE, 0),
    ("jpg", CMYK, {"quality": 100}, None, RED, 5),
    ("png", PALETTE, {}, None, GREEN, 0),
    ("png", Image.new("1", (4, 4), 1), {}, None, WHITE, 0),
    ("png", HALF_TRANSPARENT, {}, None, [[BLUE, WHITE]], 0),  # blended over white
    ("png", Image.new("LA", (1, 1), (0, 0)), {}, None, WHITE, 0),
    ("png", Image.new("RGB", (1, 1), RED), {"transparency": RED}, None, WHITE, 0),
    ("gif", PALETTE, {"transparency": PALETTE.getpixel((0, 0))}, None, WHITE, 0),
    # JPEGs that already have the right size, but need Pillow all the same
    ("jpg", Image.new("L", (16, 16), 99), {}, 16, 99, 0),
    ("jpg", CMYK, {"quality": 100}, 16, RED, 5),
    ("jpg", Image.new("RGB", (16, 16), RED), {"quality": 100, "keep_rgb": True}, 16, RED, 5),
    ("jpg", Image.fromarray(SMALL), {"quality": 95, "exif": orientation_tag(3)}, 16, SMALL[::-1, ::-1], 24),
    pytest.param("jpg", Image.fromarray(SMALL), {"quality": 95, "exif": b"Exif\0\0II*\0\xff\xff\xff"}, None, SMALL, 24,
                 marks=pytest.mark.filterwarnings("ignore")),  # damaged EXIF data does not affect the image
])
def test_formats_and_modes(tmp_path, kind, image, options, side, expected, tolerance):
    path = save(image, tmp_path / f"a.{kind}", **options)
    with Image.open(path) as stored:
        assert stored.mode in (image.mode, "I", "P"), "the file is not of the mode that is to be tested"
    got = decode(path, side)
    assert got.shape == (image.height, image.width, 3) and got.dtype == np.uint8 and got.flags.writeable
    assert np.abs(got.astype(int) - expected).max() <= tolerance
    if image.mode == "L":
        assert (got == got[:, :, :1]).all()


# The upright image is red at the top left, green at the top right, blue at the bottom left, black elsewhere.
QUARTERS = np.zeros((32, 48, 3), np.uint8)
QUARTERS[:16, :24], QUARTERS[:16, 24:], QUARTERS[16:, :24] = RED, GREEN, BLUE
CORNERS = {(4, 4): RED, (4, 27): GREEN, (27, 4): BLUE, (27, 27): (0, 0, 0)}  # of the central square
STORED = {  # EXIF: which edges of the upright image the stored row 0 and column 0 are
    1: QUARTERS,  # top, left
    2: QUARTERS[:, ::-1],  # top, right
    3: QUARTERS[::-1, ::-1],  # bottom, right
    4: QUARTERS[::-1],  # bottom, left
    5: QUARTERS.swapaxes(0, 1),  # left, top
    6: QUARTERS[:, ::-1].swapaxes(0, 1),  # right, top
    7: QUARTERS[::-1, ::-1].swapaxes(0, 1),  # right, bottom
    8: QUARTERS[::-1].swapaxes(0, 1),  # left, bottom
}


def rotated(folder, kind, orientation):
    """A file of QUARTERS, stored as `orientation` says."""
    image = Image.fromarray(np.ascontiguousarray(STORED[orientation]))
    folder.mkdir(exist_ok=True)
    return save(image, folder / f"{kind}{orientation}.{kind}", exif=orientation_tag(orientation))


KINDS = ["png", "jpg", "tif"] + ["webp"] * features.check("webp")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", KINDS)
def test_exif_rotation(tmp_path, kind, orientation):
    """Pillow turns TIFFs itself, in some versions; every image must be turned once."""
    path = rotated(tmp_path, kind, orientation)
    got = decode(path)
    assert got.shape == QUARTERS.shape
    for y, x in ((4, 4), (4, 44), (28, 4), (28, 44)):
        assert np.abs(got[y, x].astype(int) - QUARTERS[y, x]).max() < 10
    small = decode(path, 16)  # the same quarters after scaling and cropping
    for (y, x), color in CORNERS.items():
        assert np.abs(small[y // 2, x // 2].astype(int) - color).max() < 12
    assert np.abs(decode(path, 16, (9, 1, 6))[3, 3].astype(int) - BLUE).max() < 12  # of the square, its bottom left


def test_exif_rotation_in_prepare(tmp_path):
    for kind in KINDS:
        for orientation in STORED:
            rotated(tmp_path / "src", kind, orientation)
    assert prepare(tmp_path / "src", tmp_path / "dst", 32, progress=False) == (8 * len(KINDS), 0, 0)
    for path in (tmp_path / "dst").iterdir():
        got = decode(path).astype(int)
        assert [int(np.abs(got[y, x] - color).max() < 12) for (y, x), color in CORNERS.items()] == [1] * 4, path.name


@settings(max_examples=60, deadline=None)
@given(st.integers(8, 90), st.integers(8, 90), st.integers(1, 40))
def test_side_gives_the_central_square(height, width, side):
    """A gradient: the result must have the mean of its central square.

    But the triangle filter extends half a new pixel beyond the square: at an edge, with an eighth of its weight.
    """
    pixels = smooth(height, width)
    got = decode(encoded(pixels), side)
    assert got.shape == (side, side, 3)
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    central = pixels[top : top + short, left : left + short]
    if side == short:
        np.testing.assert_array_equal(got, central)
    else:
        assert np.abs(got.mean(axis=(0, 1)) - central.mean(axis=(0, 1))).max() < 8 + 255 / 8 / side


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 40), st.data())
def test_a_patch_has_the_pixels_of_the_whole(height, width, side, data):
    """Noise. Both are within one gray level of the exact value."""
    size = data.draw(st.integers(1, side))
    top, left = (data.draw(st.integers(0, side - size)) for _ in range(2))
    pixels = np.random.default_rng(side).integers(0, 256, (height, width, 3), np.uint8)
    whole = decode(encoded(pixels), side).astype(int)
    patch = decode(encoded(pixels), side, (top, left, size))
    assert patch.shape == (size, size, 3) and patch.dtype == np.uint8
    assert np.abs(patch - whole[top : top + size, left : left + size]).max() <= 2


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_prepared_jpegs_have_the_same_pixels_from_simplejpeg(tmp_path, monkeypatch, subsampling, progressive):
    options = {"quality": 80, "subsampling": subsampling, "progressive": progressive}
    path = save(Image.fromarray(NOISE[:33, :33]), tmp_path / "a.jpg", **options)
    with Image.open(path) as image:
        expected = np.array(image)
    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", None)  # Pillow is not involved
        got, cropped = decode(path, 33), decode(path, 33, (3, 5, 20))
    assert got.flags.writeable
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(cropped, expected[3:23, 5:25])


def test_damaged_jpegs_of_the_right_size():
    whole = encoded(NOISE, "JPEG").getvalue()
    with pytest.raises(ImageError, match="truncated"):
        decode(io.BytesIO(whole[: len(whole) // 2]), 64)
    odd = whole[:-2] + b"odd" + whole[-2:]  # extra bytes before the end marker
    with pytest.raises(ValueError, match="extraneous"):
        simplejpeg.decode_jpeg(odd)
    np.testing.assert_array_equal(decode(io.BytesIO(odd), 64), decode(io.BytesIO(whole), 64))


def test_draft_mode_decodes_less_but_never_too_little(tmp_path, monkeypatch):
    decoded, load = [], Image.Image.load

    def spy(image):
        if isinstance(image, JpegImagePlugin.JpegImageFile):
            decoded.append(image.size)
        return load(image)

    monkeypatch.setattr("PIL.Image.Image.load", spy)
    path = save(Image.fromarray(smooth(1500, 2000)), tmp_path / "a.jpg")
    small = decode(path, 256)
    assert set(decoded) == {(500, 375)}
    decoded.clear()
    whole = decode(path)
    assert set(decoded) == {(2000, 1500)} and whole.shape == (1500, 2000, 3)
    reference = Image.fromarray(whole[:, 250:1750]).resize((256, 256), Image.Resampling.BILINEAR)
    assert np.abs(small.astype(int) - np.asarray(reference)).max() < 8
    for height, width in ((300, 511), (512, 512), (1023, 700), (2055, 2055), (100, 90)):
        decoded.clear()
        decode(save(Image.fromarray(smooth(height, width)), tmp_path / "b.jpg"), 256)
        assert all(min(size) >= min(256, height, width) for size in decoded) and decoded


@pytest.mark.parametrize("width", [10_000, 20_000])  # Pillow itself warns, then raises
@pytest.mark.parametrize("action", ["ignore", "error"])
def test_decompression_bomb(tmp_path, width, action):
    png, path = encoded(NOISE).getvalue(), tmp_path / "huge.png"
    header = b"IHDR" + struct.pack(">II", width, 10_000) + png[24:29]  # claims this size
    path.write_bytes(png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:])
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        with pytest.raises(ImageError, match="decompression bomb"):
            decode(path, 256)


def test_unreadable_files(tmp_path):
    for name, kind in (("cut.jpg", "JPEG"), ("cut.png", "PNG")):
        whole = encoded(NOISE, kind).getvalue()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("<html>404</html>")
    (tmp_path / "eps.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    (tmp_path / "folder.jpg").mkdir()
    save(Image.fromarray(np.ones((3, 3), np.float32)), tmp_path / "float.tif")
    for name, reason in [
        ("cut.jpg", "truncated"), ("cut.png", "truncated"), ("empty.jpg", "empty"), ("text.jpg", "not an image"),
        ("eps.jpg", "EPS"),  # a PostScript program, which must never be run
        ("folder.jpg", "directory"), ("missing.jpg", "No such file"), ("float.tif", "floating-point"),
    ]:
        with pytest.raises(ImageError, match=reason) as caught:
            decode(tmp_path / name, 32)
        assert caught.value.path == str(tmp_path / name)
        assert reason in caught.value.reason and "\n" not in str(caught.value)
        again = pickle.loads(pickle.dumps(caught.value))
        assert (again.path, again.reason) == (caught.value.path, caught.value.reason)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read anything")
def test_forbidden_file(tmp_path):
    path = save(Image.new("RGB", (4, 4)), tmp_path / "a.png")
    path.chmod(0)
    with pytest.raises(ImageError, match="Permission denied"):
        decode(path)


def test_machine_errors_are_not_blamed_on_the_file(tmp_path, monkeypatch):
    def too_many(*args):
        raise OSError(24, "Too many open files")

    path = save(Image.new("RGB", (4, 4)), tmp_path / "a.png")
    monkeypatch.setattr("tinynet.files.open", too_many, raising=False)
    with pytest.raises(OSError, match="Too many open files"):
        decode(path)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_bytes_give_pixels_or_an_image_error(data):
    """Whatever Pillow's parsers raise on a damaged file, decode raises only ImageError."""
    kind = data.draw(st.sampled_from(["PNG", "GIF", "TIFF", "BMP", "JPEG", "PPM"]))
    damaged = bytearray(encoded(smooth(9, 11), kind).getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    damaged = damaged[: data.draw(st.integers(1, len(damaged)))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            assert decode(io.BytesIO(bytes(damaged)), 8).shape == (8, 8, 3)
        except ImageError as error:
            assert error.reason
