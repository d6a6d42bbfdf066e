"""DataLoader: the same batches to the bit, whatever the number of workers, the timing and the interruptions."""

import gc
import threading
import time
import traceback
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tinynet.data import ArrayImages, Cached, DataError, DataLoader, ImageError, ImageFolder, to_chw
from tinynet.data.transforms import CenterCrop, Compose, Normalize, PCAColor, RandomCrop, RandomHorizontalFlip, TenCrop
from toy_images import Toy

CROP = RandomCrop(6)
AUGMENT = Compose([RandomHorizontalFlip(), Normalize(100), PCAColor([900, 90, 9], np.eye(3)), to_chw])


def loader(dataset, batch_size=4, transform=AUGMENT, crop=CROP, **options):
    return DataLoader(dataset, batch_size, transform, side=8, crop=crop, **options)


@pytest.mark.parametrize("given, side", [({}, 256), ({"side": 1}, 1)])
def test_images_are_read_at_256_unless_told_otherwise(given, side):
    assert next(iter(DataLoader(Toy(2), 2, to_chw, **given)))[0].shape == (2, 3, side, side)


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("tinynet-data")]


def assert_same(one, two):
    assert len(one) == len(two)
    for (x, t), (y, u) in zip(one, two, strict=True):
        np.testing.assert_array_equal(x, y)
        np.testing.assert_array_equal(t, u)


def labels_of(batches):
    return np.concatenate([labels for _, labels in batches]).tolist()


@pytest.mark.parametrize("n, options, shapes", [
    (10, {}, [(4, 3, 6, 6), (4, 3, 6, 6), (2, 3, 6, 6)]),
    (10, {"drop_last": True}, [(4, 3, 6, 6)] * 2),
    (10, {"batch_size": 5}, [(5, 3, 6, 6)] * 2),
    (10, {"batch_size": 5, "drop_last": True}, [(5, 3, 6, 6)] * 2),
    (5, {"transform": Compose([TenCrop(6), to_chw]), "crop": None}, [(4, 10, 3, 6, 6), (1, 10, 3, 6, 6)]),
])
def test_shapes_and_length(n, options, shapes):
    batches = loader(Toy(n), **options)
    assert len(batches) == len(shapes)
    for (images, labels), shape in zip(batches, shapes, strict=True):
        assert images.shape == shape and images.dtype == np.float32 and images.flags.c_contiguous
        assert labels.shape == shape[:1] and labels.dtype == np.int64


def test_a_plain_epoch_is_the_data_set():
    toy = Toy(10)
    batches = list(DataLoader(toy, 4, to_chw, side=8))
    assert [images.shape for images, _ in batches] == [(4, 3, 8, 8), (4, 3, 8, 8), (2, 3, 8, 8)]
    np.testing.assert_array_equal(np.concatenate([x for x, _ in batches]), toy.pixels.transpose(0, 3, 1, 2))
    assert labels_of(batches) == toy.labels.tolist()


def test_shuffling_is_a_new_permutation_each_epoch():
    toy = Toy(30)
    toy.labels[:] = np.arange(30)
    batches = loader(toy, shuffle=True, seed=3)
    epochs = [labels_of(batches) for _ in range(3)]
    assert all(sorted(epoch) == list(range(30)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] and epochs[0] != list(range(30))
    assert epochs == [np.random.default_rng((3, epoch)).permutation(30).tolist() for epoch in range(3)]
    assert labels_of(loader(toy, shuffle=True, seed=4)) != epochs[0]


def test_ten_crops_give_a_five_dimensional_batch():
    batches = loader(Toy(5), 3, Compose([TenCrop(6), to_chw]), crop=None)
    assert [images.shape for images, _ in batches] == [(3, 10, 3, 6, 6), (2, 10, 3, 6, 6)]


@pytest.mark.parametrize("workers, prefetch", [(1, 1), (2, 4), (7, 2)])
def test_bits_do_not_depend_on_workers_or_timing(workers, prefetch):
    options = {"batch_size": 20, "shuffle": True, "seed": 5}
    quiet = loader(Toy(41, broken=[3, 17]), workers=1, **options)
    busy = loader(Toy(41, broken=[3, 17], delay=0.002), workers=workers, prefetch=prefetch, **options)
    for _ in range(2):
        assert_same(list(quiet), list(busy))
    assert quiet.skipped == busy.skipped


def test_augmentation_differs_between_epochs_and_images():
    same_image = ArrayImages(Toy(1).pixels.repeat(4, axis=0), [0] * 4, ["a"])
    batches = loader(same_image)
    [(first, _)] = batches
    [(later, _)] = batches
    [(other_seed, _)] = loader(same_image, seed=1)
    assert not any(np.array_equal(first[0], first[i]) for i in (1, 2, 3))
    assert not np.array_equal(first, later) and not np.array_equal(first, other_seed)


def test_the_noise_of_image_0_is_not_the_stream_of_the_order():
    """NumPy gives (seed, epoch) and (seed, epoch, 0) the same stream."""
    drawn = {}

    def spy(image, rng):
        drawn[int(image[0, 0, 0])] = rng.integers(2**62)
        return to_chw(image)

    numbered = ArrayImages(np.arange(3, dtype=np.uint8).repeat(12).reshape(3, 2, 2, 3), [0] * 3, ["a"])
    list(DataLoader(numbered, 3, spy, side=2, seed=9))
    assert len(set(drawn.values())) == 3
    assert drawn[0] != np.random.default_rng((9, 0)).integers(2**62)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 23), st.integers(1, 6), st.integers(0, 12), st.booleans(), st.integers(0, 9))
def test_stopped_and_resumed_anywhere(n, batch_size, stop, shuffle, seed):
    """Three epochs without a stop, and the same stopped after `stop` batches and resumed by another loader."""

    def make():
        return loader(Toy(n, broken=range(0, n - 1, 5)), batch_size, shuffle=shuffle, seed=seed)

    def rest(batches):  # up to the end of epoch 2
        while batches.epoch < 3:
            yield from batches

    whole = list(rest(make()))
    first, second = make(), make()
    head = list(islice(rest(first), stop))
    second.load_state_dict(first.state_dict())
    assert_same(whole, head + list(rest(second)))
    assert second.state_dict() == {"epoch": 3, "position": 0}


def test_position_counts_batches_yielded():
    batches = loader(Toy(10), prefetch=8)
    assert batches.state_dict() == {"epoch": 0, "position": 0}
    assert [batches.state_dict()["position"] for _ in batches] == [1, 2, 3]
    assert batches.state_dict() == {"epoch": 1, "position": 0}


def test_breaking_out_keeps_the_position_and_leaves_no_thread():
    whole = list(loader(Toy(20, delay=0.001)))
    batches, got = loader(Toy(20, delay=0.001), workers=3), []
    for batch in batches:
        got.append(batch)
        assert threads()
        if len(got) == 2:
            break
    assert not threads() and batches.state_dict() == {"epoch": 0, "position": 2}
    assert_same(whole, got + list(batches))
    assert not threads()


def test_stopping_early_does_not_read_the_rest():
    toy = Toy(1000)
    batches = iter(loader(toy, 4, prefetch=2))
    next(batches)
    batches.close()
    assert toy.reads.sum() <= 4 * (1 + 2)
    assert not threads()


def test_a_second_iterator_ends_the_first():
    batches = loader(Toy(20))
    first = iter(batches)
    next(first)
    second = iter(batches)
    next(second)
    assert batches.position == 2 and list(first) == []
    second.close()
    del first, second
    gc.collect()
    assert not threads()


def test_no_more_than_prefetch_batches_ahead():
    toy = Toy(100)
    batches = iter(loader(toy, 5, prefetch=3))
    for yielded in (1, 2):
        next(batches)
        deadline = time.monotonic() + 10
        while toy.reads.sum() < 5 * (yielded + 3) and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.02)  # time enough to read one too many
        assert toy.reads.sum() == 5 * (yielded + 3)
    batches.close()


def test_workers_share_a_batch():
    barrier, met = threading.Barrier(4, timeout=10), set()

    def spy(image, rng):
        if threading.current_thread() not in met:
            met.add(threading.current_thread())
            barrier.wait()  # breaks unless four threads arrive at the same time
        return to_chw(image)

    list(DataLoader(Toy(32), 32, spy, side=8, workers=4))
    assert len(met) == 4


def test_waiting_is_counted():
    slow = loader(Toy(8, delay=0.01), 8, workers=1)
    list(slow)
    assert 0.1 < slow.wait_seconds < 2  # 8 images take 0.12 s
    ahead = loader(Toy(16, delay=0.01), 4, workers=1)  # four batches, 0.06 s each
    for _ in ahead:
        time.sleep(0.1)
    assert 0.05 < ahead.wait_seconds < 0.2  # for the first one only


def test_unreadable_images_are_left_out_and_listed_once():
    toy = Toy(13, broken=[1, 4, 5, 6, 7, 12])
    batches = loader(toy)
    for epoch in (1, 2):
        labels = [t.tolist() for _, t in batches]
        assert labels == [[0, 2, 0], [2, 0, 1, 2]]  # batches 1 (4 to 7) and 3 (only 12) are empty
        assert batches.state_dict() == {"epoch": epoch, "position": 0}
    assert batches.skipped == {str(toy.paths[i]): "broken" for i in (1, 4, 5, 6, 7, 12)}


def test_a_bug_in_a_transform_surfaces_with_its_traceback():
    def buggy_transform(image, rng):
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError) as caught:
        list(loader(Toy(9), 4, buggy_transform))
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert "buggy_transform" in [frame.name for frame in frames]
    assert not threads()


@pytest.mark.parametrize("dataset, options, yielded, message", [
    (Toy(13, broken=[5, 6]), {"strict": True}, 1, r"toy[/\\]5: broken"),
    (Toy(5, broken=range(5)), {"batch_size": 2}, 0, "none of 5 images"),
    (Toy(3), {"transform": lambda image, rng: image, "crop": None}, 0, r"to_chw; got \(8, 8, 3\)"),
    (Toy(4), {"transform": lambda image, rng: to_chw(image[: rng.integers(2, 7)])}, 0, "one image of a batch"),
    (Toy(3), {"crop": RandomCrop(9)}, 0, "cannot crop 9 x 9 from an image of 8 x 8"),
])
def test_errors_while_iterating(dataset, options, yielded, message):
    got = []
    with pytest.raises(ImageError if "strict" in options else DataError, match=message):
        got.extend(loader(dataset, **options))
    assert len(got) == yielded and not threads()


@pytest.mark.parametrize("options, message", [
    ({"batch_size": 0}, "batch_size"),
    ({"batch_size": 2.5}, "batch_size"),
    ({"workers": 0}, "workers"),
    ({"prefetch": 0}, "prefetch"),
    ({"seed": -1}, "seed"),
    ({"side": 0}, "side"),
    ({"transform": None}, "transform"),
    ({"crop": TenCrop(6)}, "crop must be a RandomCrop, a CenterCrop or None"),
    ({"dataset": Toy(0)}, "0 images makes no batch"),
    ({"batch_size": 9, "drop_last": True}, "no batch of 9 when drop_last"),
])
def test_bad_arguments_are_refused_at_once(options, message):
    with pytest.raises(DataError, match=message):
        DataLoader(**({"dataset": Toy(8), "batch_size": 4, "transform": AUGMENT} | options))


def test_a_position_of_another_data_set_is_refused():
    batches = loader(Toy(10))
    for state in ({"epoch": 0, "position": 4}, {"epoch": -1, "position": 0}):
        with pytest.raises(DataError, match="an epoch has 3 batches"):
            batches.load_state_dict(state)
    batches.load_state_dict({"epoch": 2, "position": 3})  # just after an epoch's last batch
    assert list(batches) == [] and batches.state_dict() == {"epoch": 3, "position": 0}


@pytest.mark.parametrize("crop", [RandomCrop(6), CenterCrop(6)])
@pytest.mark.parametrize("wrap", [lambda dataset: dataset, lambda dataset: Cached(dataset, 8)])
def test_the_patch_that_is_read_is_the_crop_of_the_whole(crop, wrap):
    transform, toy = Compose([crop, *AUGMENT.transforms]), Toy(9)
    batches = loader(wrap(toy), 9, crop=crop, seed=4)
    for epoch in (0, 1):
        [(images, _)] = batches
        for i in range(9):
            rng = np.random.default_rng((4, epoch, i + 1))
            np.testing.assert_array_equal(images[i], transform(toy.image(i, 8), rng))


def test_a_patch_of_a_scaled_image_is_that_of_the_whole_within_a_gray_level(tmp_path):
    (tmp_path / "a").mkdir()
    rng = np.random.default_rng(0)
    for i in range(6):
        pixels = rng.integers(0, 256, (30 + 7 * i, 50, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "a" / f"{i}.png")
    crop, flip, folder = RandomCrop(17), Compose([RandomHorizontalFlip(), to_chw]), ImageFolder(tmp_path)
    cropped_first = DataLoader(folder, 4, flip, side=20, crop=crop)
    cropped_last = DataLoader(folder, 4, Compose([crop, flip]), side=20)
    in_memory = DataLoader(Cached(folder, 20), 4, flip, side=20, crop=crop)
    for (x, _), (y, _), (z, _) in zip(cropped_first, cropped_last, in_memory, strict=True):
        assert np.abs(x - y).max() <= 1 and x.shape[1:] == (3, 17, 17)
        np.testing.assert_array_equal(y, z)


def test_from_files(tmp_path):
    """From files to batches, one file being damaged."""
    for name in ("a/1.png", "a/2.png", "b/1.png", "b/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (20, 10), (int(name[2]), 0, 0)).save(tmp_path / name)
    (tmp_path / "b" / "1.png").write_bytes(b"not a picture")
    batches = DataLoader(ImageFolder(tmp_path), 4, to_chw, side=8)
    [(images, labels)] = list(batches)
    assert images[:, 0, 0, 0].tolist() == [1, 2, 2] and labels.tolist() == [0, 0, 1]
    [(path, reason)] = batches.skipped.items()
    assert Path(path) == tmp_path / "b" / "1.png" and "not an image" in reason


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_the_shards_of_n_ranks_are_the_batches_of_one(n):
    """No image twice, none missing, in the same order; the last batch of 3 leaves some of 5 ranks without images."""
    whole, shards = loader(Toy(11), shuffle=True), [loader(Toy(11), shuffle=True, shard=(r, n)) for r in range(n)]
    for _ in range(2):  # epochs
        for (images, labels), *pieces in zip(whole, *shards, strict=True):
            np.testing.assert_array_equal(np.concatenate([piece for piece, _ in pieces]), images)
            np.testing.assert_array_equal(np.concatenate([piece for _, piece in pieces]), labels)
            lengths = [len(piece) for piece, _ in pieces]
            assert max(lengths) - min(lengths) <= 1
    assert all(shard.state_dict() == whole.state_dict() for shard in shards)
