"""The examples' reader of data sets, on files made here in each of the forms."""

import gzip
import io
import pickle

import numpy as np
import pytest

from .running import EXAMPLES


@pytest.fixture
def datasets(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    return pytest.importorskip("support.datasets", reason="the extra `examples`")


@pytest.fixture
def images():
    """Images of one color each, which JPEG keeps almost as they are; and labels."""
    rng = np.random.default_rng(0)
    pixels = np.empty((6, 3, 32, 32), np.uint8)
    pixels[:] = rng.integers(256, size=(6, 3, 1, 1))
    return pixels, rng.integers(10, size=6)


def write_binary(folder, pixels, labels):
    for name, rows in (("data_batch_1", slice(4)), ("data_batch_2", slice(4, None))):
        content = b"".join(
            bytes([label]) + image.tobytes()
            for label, image in zip(labels[rows], pixels[rows], strict=True)
        )
        (folder / f"{name}.bin").write_bytes(content)


def write_pickled(folder, pixels, labels):
    batch = {b"data": pixels.reshape(6, -1), b"labels": labels.tolist()}
    (folder / "data_batch_1").write_bytes(pickle.dumps(batch))


def write_packed(folder, pixels, labels):
    from PIL import Image

    files = []
    for image in pixels:
        file = io.BytesIO()
        Image.fromarray(image.transpose(1, 2, 0)).save(file, "jpeg", quality=100)
        files.append(file.getvalue())
    np.savez(
        folder / "cifar10_train_jpeg.npz",
        jpeg=np.frombuffer(b"".join(files), np.uint8),
        offsets=np.cumsum([0, *map(len, files)]),
        labels=labels.astype(np.uint8),
    )


# JPEG rounds colors to its own space; the other two forms keep every byte.
@pytest.mark.parametrize(
    ("write", "tolerance"), [(write_binary, 0), (write_pickled, 0), (write_packed, 3)]
)
def test_cifar10_is_read_in_all_its_forms(datasets, images, tmp_path, write, tolerance):
    pixels, labels = images
    folder = tmp_path / "cifar-10"
    folder.mkdir()
    write(folder, pixels, labels)
    found = datasets.cifar10(tmp_path)
    np.testing.assert_allclose(found.pixels.astype(int), pixels, atol=tolerance)
    np.testing.assert_array_equal(found.labels, labels)
    assert found.pixels.dtype == np.uint8
    assert found.labels.dtype == np.int32
    with pytest.raises(FileNotFoundError, match=r"^found no test_batch\.bin"):
        datasets.cifar10(tmp_path, train=False)


@pytest.mark.parametrize("compress", [False, True])
def test_fashion_mnist_is_read_from_idx_files(datasets, tmp_path, compress):
    rng = np.random.default_rng(0)
    pixels = rng.integers(256, size=(5, 28, 28), dtype=np.uint8)
    labels = rng.integers(10, size=5, dtype=np.uint8)
    for name, array in (("images-idx3", pixels), ("labels-idx1", labels)):
        head = bytes([0, 0, 8, array.ndim])
        head += b"".join(size.to_bytes(4, "big") for size in array.shape)
        content = head + array.tobytes()
        if compress:
            (tmp_path / f"t10k-{name}-ubyte.gz").write_bytes(gzip.compress(content))
        else:
            (tmp_path / f"t10k-{name}-ubyte").write_bytes(content)
    found = datasets.fashion_mnist(tmp_path, train=False)
    np.testing.assert_array_equal(found.pixels[:, 0], pixels)
    np.testing.assert_array_equal(found.labels, labels)
    with pytest.raises(FileNotFoundError, match="found no train-images-idx3-ubyte or"):
        datasets.fashion_mnist(tmp_path)


def records(labels):
    """A file of CIFAR-10's binary form."""
    return b"".join(bytes([label]) + bytes(3072) for label in labels)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "data_batch_1.bin",
            b"",
            "expected 2 or more images in data_batch_1.bin, foun",
        ),
        ("data_batch_1.bin", records([7]), "data_batch_1.bin, found 1"),
        ("data_batch_1.bin", records([1, 2])[:-1], "bytes, found 6145 bytes"),
        ("data_batch_1.bin", records([9, 10]), "labels from 0 to 9 .*bin, found 10"),
        ("data_batch_1", b"123", "cannot read .*data_batch_1: "),
        ("data_batch_1", pickle.dumps({b"labels": []}), "cannot read .*data_batch_1: "),
        ("cifar10_train.npz", b"PK", r"expected an \.npz file, found .*train\.npz"),
        ("cifar10_test.npz", b"PK", "found no data_batch.* in "),
    ],
)
def test_cifar10_that_cannot_be_trained_on_is_refused(
    datasets, tmp_path, name, content, message
):
    (tmp_path / name).write_bytes(content)
    with pytest.raises((OSError, ValueError), match=message):
        datasets.cifar10(tmp_path, fewest=2)


def idx(*shape, size=None):
    """A file of zeros of Fashion-MNIST's form."""
    head = bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)
    return head + bytes(np.prod(shape) if size is None else size)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (idx(3, 28, 28), idx(2), "labels as images in the train .*, found 2 for 3"),
        (idx(0, 28, 28), idx(0), "expected 1 or more images in the train .*, found 0"),
        (idx(3, 28, 28, size=2000), idx(3), "cannot read .*images-idx3-ubyte: .*2000"),
        (idx(3, 20, 20), idx(3), r"images-idx3-ubyte: .*\(28, 28\).*, found \(20, 20"),
        (b"", idx(3), "cannot read .*images-idx3-ubyte: "),
        (idx(3, 28, 28), idx(3, 1), "cannot read .*labels-idx1-ubyte: .*rank 1"),
    ],
)
def test_fashion_mnist_that_cannot_be_trained_on_is_refused(
    datasets, tmp_path, images, labels, message
):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(images)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(labels)
    with pytest.raises(ValueError, match=message):
        datasets.fashion_mnist(tmp_path)


def test_a_damaged_gz_file_is_named(datasets, tmp_path):
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"no gzip")
    with pytest.raises(ValueError, match=r"cannot read .*images-idx3-ubyte\.gz: "):
        datasets.fashion_mnist(tmp_path)


def test_without_a_path_the_digits_come_in_the_same_shape(datasets):
    for name, shape in (("cifar10", (3, 32, 32)), ("fashion_mnist", (1, 28, 28))):
        train = getattr(datasets, name)()
        test = getattr(datasets, name)(train=False)
        assert len(train.labels) + len(test.labels) == 1797
        assert train.pixels.shape[1:] == test.pixels.shape[1:] == shape
        assert train.pixels.max() == 255
        assert "digits" in train.source


class Harmful:
    """Unpickled carelessly, it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_that_is_more_than_arrays_is_not_run(datasets, tmp_path):
    written = tmp_path / "written"
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps({b"data": Harmful(written)}))
    with pytest.raises(ValueError, match=r"found a call of (_io|io)\.open"):
        datasets.cifar10(tmp_path)
    assert not written.exists()
