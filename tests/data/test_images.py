"""decode: every kind of file comes out as upright RGB, every damaged one as an ImageError."""

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

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def smooth(height, width):
    """A color gradient, which JPEG and resizing change little: uint8 (height, width, 3)."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([255 * y / height, 255 * x / width, 128 + 0 * x], axis=2).astype(np.uint8)


def save(image, path, **options):
    image.save(path, **options)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.ppm", "a.tif", "a.gif"])
def test_exact_formats_give_the_pixels_that_were_saved(tmp_path, name):
    pixels = np.zeros((5, 7, 3), np.uint8)
    pixels[:, :3], pixels[2:, 3:] = RED, BLUE
    got = decode(save(Image.fromarray(pixels), tmp_path / name))
    assert got.dtype == np.uint8 and got.flags.writeable
    np.testing.assert_array_equal(got, pixels)


@pytest.mark.parametrize("name", ["a.jpg", "a.webp"])
def test_lossy_formats_come_close(tmp_path, name):
    if name == "a.webp" and not features.check("webp"):
        pytest.skip("this Pillow has no WebP")
    pixels = smooth(40, 60)
    got = decode(save(Image.fromarray(pixels), tmp_path / name, quality=95))
    assert np.abs(got.astype(int) - pixels).max() < 12


def test_grey_becomes_three_equal_channels(tmp_path):
    gray = smooth(8, 9)[:, :, 0]
    for name in ("a.png", "a.jpg"):
        got = decode(save(Image.fromarray(gray), tmp_path / name))
        assert got.shape == (8, 9, 3)
        np.testing.assert_array_equal(got[:, :, 0], got[:, :, 1])
        np.testing.assert_array_equal(got[:, :, 0], got[:, :, 2])
        assert np.abs(got[:, :, 0].astype(int) - gray).max() < 8


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bit_grey_keeps_the_high_byte(tmp_path, name):
    deep = np.array([[0, 255, 256], [0x7FFF, 0x8000, 0xFFFF]], np.uint16)
    got = decode(save(Image.fromarray(deep), tmp_path / name))
    np.testing.assert_array_equal(got[:, :, 0], [[0, 0, 1], [127, 128, 255]])


def test_cmyk_jpeg(tmp_path):
    path = save(Image.new("RGB", (16, 16), RED).convert("CMYK"), tmp_path / "a.jpg", quality=100)
    with Image.open(path) as image:
        assert image.mode == "CMYK"
    assert np.abs(decode(path).astype(int) - RED).max() < 6


def test_palette_one_bit_and_transparency_over_white(tmp_path):
    palette = Image.new("RGB", (4, 4), GREEN).convert("P", palette=Image.Palette.ADAPTIVE)
    assert (decode(save(palette, tmp_path / "p.png")) == GREEN).all()
    assert (decode(save(Image.new("1", (4, 4), 1), tmp_path / "1.png")) == 255).all()
    rgba = Image.new("RGBA", (2, 1), (*BLUE, 255))
    rgba.putpixel((1, 0), (0, 0, 0, 0))
    assert decode(save(rgba, tmp_path / "rgba.png")).tolist() == [[list(BLUE), [255] * 3]]
    gray = Image.new("LA", (1, 1), (0, 0))
    assert decode(save(gray, tmp_path / "la.png")).tolist() == [[[255] * 3]]
    keyed = save(Image.new("RGB", (1, 1), RED), tmp_path / "k.png", transparency=RED)
    assert decode(keyed).tolist() == [[[255] * 3]]
    entry = palette.getpixel((0, 0))
    hole = save(palette, tmp_path / "hole.gif", transparency=entry)
    assert (decode(hole) == 255).all()


def test_floating_point_pixels_are_refused(tmp_path):
    path = save(Image.fromarray(np.ones((3, 3), np.float32)), tmp_path / "f.tif")
    with pytest.raises(ImageError, match="floating-point"):
        decode(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation(tmp_path, orientation):
    """The upright picture has red top left, green top right, blue bottom left, black the rest."""
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:16, :24], upright[:16, 24:], upright[16:, :24] = RED, GREEN, BLUE
    # EXIF: where the stored row 0 and column 0 lie in the upright picture.
    stored = {
        1: upright,  # top, left
        2: upright[:, ::-1],  # top, right
        3: upright[::-1, ::-1],  # bottom, right
        4: upright[::-1],  # bottom, left
        5: upright.swapaxes(0, 1),  # left, top
        6: upright[:, ::-1].swapaxes(0, 1),  # right, top
        7: upright[::-1, ::-1].swapaxes(0, 1),  # right, bottom
        8: upright[::-1].swapaxes(0, 1),  # left, bottom
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(stored))
    for name in ("a.png", "a.jpg"):
        path = save(image, tmp_path / name, exif=exif)
        got = decode(path)
        assert got.shape == upright.shape
        for y, x in ((4, 4), (4, 44), (28, 4), (28, 44)):
            assert np.abs(got[y, x].astype(int) - upright[y, x]).max() < 10
        small = decode(path, 16)  # the same quarters after scaling and cropping
        assert np.abs(small[2, 2].astype(int) - RED).max() < 12
        assert np.abs(small[13, 13].astype(int)).max() < 12


def test_damaged_exif_does_not_spoil_the_picture(tmp_path):
    damaged = b"Exif\0\0II*\0\xff\xff\xff"
    path = save(Image.new("RGB", (8, 8), RED), tmp_path / "a.jpg", exif=damaged)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert decode(path).shape == (8, 8, 3)


@settings(max_examples=60, deadline=None)
@given(st.integers(8, 90), st.integers(8, 90), st.integers(1, 40))
def test_side_gives_the_central_square(height, width, side):
    """A gradient: its central square has the mean that the result must have.

    But the filter's triangle reaches half a new pixel beyond the square: at an edge an eighth of its weight.
    """
    pixels = smooth(height, width)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    file.seek(0)
    got = decode(file, side)
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
def test_a_part_has_the_pixels_of_the_whole(height, width, side, data):
    """Noise. Both lie within one gray level of the exact value, seldom at opposite ends."""
    size = data.draw(st.integers(1, side))
    top, left = (data.draw(st.integers(0, side - size)) for _ in range(2))
    pixels = np.random.default_rng(side).integers(0, 256, (height, width, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    file.seek(0)
    whole = decode(file, side).astype(int)
    file.seek(0)
    part = decode(file, side, (top, left, size))
    assert part.shape == (size, size, 3) and part.dtype == np.uint8
    assert np.abs(part - whole[top : top + size, left : left + size]).max() <= 2


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_prepared_jpegs_have_the_same_pixels_from_simplejpeg(tmp_path, monkeypatch, subsampling, progressive):
    noise = np.random.default_rng(0).integers(0, 256, (33, 33, 3), np.uint8)
    options = {"quality": 80, "subsampling": subsampling, "progressive": progressive}
    path = save(Image.fromarray(noise), tmp_path / "a.jpg", **options)
    with Image.open(path) as image:
        expected = np.array(image)
    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", None)  # Pillow has no part in it
        got, part = decode(path, 33), decode(path, 33, (3, 5, 20))
    assert got.flags.writeable
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(part, expected[3:23, 5:25])


def test_prepared_jpegs_that_pillow_has_to_decode(tmp_path):
    """Gray, stored as RGB or CMYK, turned, damaged: also if they have the right size already."""
    gray = save(Image.new("L", (16, 16), 99), tmp_path / "gray.jpg")
    assert (decode(gray, 16) == 99).all()
    cmyk = save(Image.new("RGB", (16, 16), RED).convert("CMYK"), tmp_path / "cmyk.jpg", quality=100)
    assert np.abs(decode(cmyk, 16).astype(int) - RED).max() < 6
    rgb = save(Image.new("RGB", (16, 16), RED), tmp_path / "rgb.jpg", quality=100, keep_rgb=True)
    assert np.abs(decode(rgb, 16).astype(int) - RED).max() < 6
    exif, pixels = Image.Exif(), smooth(16, 16)
    exif[0x0112] = 3
    turned = save(Image.fromarray(pixels), tmp_path / "turned.jpg", quality=95, exif=exif)
    assert np.abs(decode(turned, 16).astype(int) - pixels[::-1, ::-1]).max() < 25
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    whole = save(Image.fromarray(noise), tmp_path / "a.jpg").read_bytes()
    with pytest.raises(ImageError, match="truncated"):
        decode(io.BytesIO(whole[: len(whole) // 2]), 64)
    odd = whole[:-2] + b"odd" + whole[-2:]  # bytes too many before the mark of the end
    with pytest.raises(ValueError, match="extraneous"):
        simplejpeg.decode_jpeg(odd)
    np.testing.assert_array_equal(decode(io.BytesIO(odd), 64), decode(io.BytesIO(whole), 64))


def test_draft_mode_decodes_less_but_never_too_little(tmp_path, monkeypatch):
    decoded = []
    load = Image.Image.load

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


def png_that_claims(width, height):
    def chunk(kind, data):
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("width", [10_000, 20_000])  # Pillow itself warns, then raises
@pytest.mark.parametrize("action", ["ignore", "error"])
def test_decompression_bomb(tmp_path, width, action):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_that_claims(width, 10_000))
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        with pytest.raises(ImageError, match="bomb"):
            decode(path, 256)


def test_truncated_empty_not_an_image_missing_folder(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    whole = save(Image.fromarray(noise), tmp_path / "a.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    png = save(Image.fromarray(noise), tmp_path / "a.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(png[: len(png) // 2])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("<html>404</html>")
    (tmp_path / "folder.jpg").mkdir()
    for name, reason in [
        ("cut.jpg", "truncated"),
        ("cut.png", "truncated"),
        ("empty.jpg", "empty"),
        ("text.jpg", "not an image"),
        ("folder.jpg", "directory"),
        ("missing.jpg", "No such file"),
    ]:
        with pytest.raises(ImageError, match=reason) as caught:
            decode(tmp_path / name, 32)
        assert caught.value.path == str(tmp_path / name)
        assert reason in caught.value.reason and "\n" not in str(caught.value)
        again = pickle.loads(pickle.dumps(caught.value))
        assert (again.path, again.reason) == (caught.value.path, caught.value.reason)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is forbidden to root")
def test_forbidden_file(tmp_path):
    path = save(Image.new("RGB", (4, 4)), tmp_path / "a.png")
    path.chmod(0)
    with pytest.raises(ImageError, match="Permission denied"):
        decode(path)


def test_postscript_is_never_run(tmp_path):
    program = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    (tmp_path / "a.jpg").write_bytes(program)
    with pytest.raises(ImageError, match="EPS"):
        decode(tmp_path / "a.jpg")


def test_machine_errors_are_not_blamed_on_the_file(tmp_path, monkeypatch):
    def too_many(*args):
        raise OSError(24, "Too many open files")

    path = save(Image.new("RGB", (4, 4)), tmp_path / "a.png")
    monkeypatch.setattr("tinynet.data.images.open", too_many, raising=False)
    with pytest.raises(OSError, match="Too many open files"):
        decode(path)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_bytes_give_pixels_or_an_image_error(data):
    """Whatever a parser of Pillow raises on a damaged file, only ImageError comes out."""
    kind = data.draw(st.sampled_from(["PNG", "GIF", "TIFF", "BMP", "JPEG", "PPM"]))
    file = io.BytesIO()
    Image.fromarray(smooth(9, 11)).save(file, kind)
    damaged = bytearray(file.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    damaged = damaged[: data.draw(st.integers(1, len(damaged)))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            assert decode(io.BytesIO(bytes(damaged)), 8).shape == (8, 8, 3)
        except ImageError as error:
            assert error.reason
