"""Small image data sets for the examples, read from the files that they come in.

Each reader returns `Images`: pixels as the files have them, in torch's layout
[n, channels, height, width]. Without a path the images are the 1,797 handwritten
digits that come with scikit-learn, brought to the size of the ones asked for. Files
that are missing, damaged or at odds raise an OSError or a ValueError that names them.
"""

import gzip
import io
import pickle
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from . import npz

CIFAR10 = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
FASHION = (
    *("T-shirt/top", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
)


class Images(NamedTuple):
    pixels: np.ndarray  # uint8 [n, channels, height, width]
    labels: np.ndarray  # int32 [n]
    classes: tuple[str, ...]  # what each label stands for
    source: str  # where they come from, in words


def digits(size, channels=1, train=True):
    """scikit-learn's digits, size x size: four fifths to train on, the rest to test."""
    pixels, labels = load_digits(return_X_y=True)
    split = train_test_split(
        pixels, labels, test_size=0.2, stratify=labels, random_state=0
    )
    pixels, labels = (split[0], split[2]) if train else (split[1], split[3])
    small = np.rint(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)
    large = [Image.fromarray(image).resize((size, size)) for image in small]
    pixels = np.repeat(np.stack(large)[:, None], channels, axis=1)
    shape = f"{size}x{size}x{channels}" if channels > 1 else f"{size}x{size}"
    source = f"scikit-learn's digits scaled to {shape}"
    return Images(pixels, labels.astype(np.int32), tuple("0123456789"), source)


def _read(reader, path, *arguments):
    try:
        return reader(path, *arguments)
    except Exception as error:  # a damaged pickle may raise anything
        raise ValueError(f"cannot read {path}: {error}") from error


def _checked(images, fewest, where):
    pixels, labels, classes, _ = images
    if len(pixels) != len(labels):
        raise ValueError(
            f"expected as many labels as images in {where}, "
            f"found {len(labels)} for {len(pixels)}"
        )
    if len(labels) < fewest:
        raise ValueError(
            f"expected {fewest} or more images in {where}, found {len(labels)}"
        )
    for label in (labels.min(), labels.max()):
        if not 0 <= label < len(classes):
            raise ValueError(
                f"expected labels from 0 to {len(classes) - 1} in {where}, "
                f"found {label}"
            )
    return images


def cifar10(data=None, train=True, fewest=1):
    """CIFAR-10 from ``data``; `digits` at 32x32x3 if that is None.

    ``data`` is one file, read whatever ``train`` is, or a folder with, at any depth,
    the files of one of the forms of CIFAR-10: the binary batches (``data_batch_1.bin``,
    ..., ``test_batch.bin``), the batches for Python (``data_batch_1``, ...), or JPEGs
    packed in ``cifar10_train*.npz`` and ``cifar10_test*.npz``. They must be ``fewest``
    images or more.
    """
    if data is None:
        return digits(32, channels=3, train=train)
    data = Path(data)
    if data.is_file():
        files = [data]
    else:
        batch = "data_batch_[1-5]" if train else "test_batch"
        packed = "cifar10_train*.npz" if train else "cifar10_test*.npz"
        for pattern in (f"{batch}.bin", batch, packed):
            files = sorted(data.rglob(pattern))
            if files:
                break
        else:
            raise FileNotFoundError(
                f"found no {batch}.bin, {batch} or {packed} in {data}"
            )
    readers = {".npz": _read_packed, ".bin": _read_binary, "": _read_pickled}
    if files[0].suffix not in readers:
        raise ValueError(f"expected a .npz or .bin file, found {data}")
    batches = [_read(readers[path.suffix], path) for path in files]
    pixels, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    names = ", ".join(path.name for path in files)
    images = Images(pixels, labels, CIFAR10, f"CIFAR-10 ({names})")
    return _checked(images, fewest, where=names)


def _read_binary(path):
    """Records of one byte for the label and 3 x 32 x 32 for the image."""
    records = np.fromfile(path, np.uint8)
    if records.size % (1 + 3 * 32 * 32):
        raise ValueError(f"expected records of 3073 bytes, found {records.size} bytes")
    records = records.reshape(-1, 1 + 3 * 32 * 32)
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].astype(np.int32)


class _ArraysOnly(pickle.Unpickler):
    """Reads pickled arrays; a file that would call anything else is refused."""

    allowed = frozenset(
        {
            ("_codecs", "encode"),  # bytes, in pickles of the older protocols
            ("numpy", "dtype"),
            ("numpy", "ndarray"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy._core.numeric", "_frombuffer"),
        }
    )

    def find_class(self, module, name):
        # NumPy 1, which wrote the published files, has its core elsewhere.
        module = module.replace("numpy.core.", "numpy._core.")
        if (module, name) not in self.allowed:
            raise pickle.UnpicklingError(
                f"expected arrays, found a call of {module}.{name}"
            )
        return super().find_class(module, name)


def _read_pickled(path):
    with path.open("rb") as file:
        batch = _ArraysOnly(file, encoding="bytes").load()
    pixels = batch[b"data"].reshape(-1, 3, 32, 32)
    return pixels, np.asarray(batch[b"labels"], np.int32)


def _read_packed(path):
    """JPEG files one after another in `jpeg`; each starts where `offsets` says."""
    arrays = npz.read_arrays(path, "jpeg", "offsets", "labels")
    jpeg, offsets, labels = arrays.values()
    files = np.split(jpeg, offsets[1:-1])
    images = [np.asarray(Image.open(io.BytesIO(file.tobytes()))) for file in files]
    return np.stack(images).transpose(0, 3, 1, 2), labels.astype(np.int32)


def fashion_mnist(data=None, train=True, fewest=1):
    """Fashion-MNIST from the folder ``data``; `digits` at 28x28 if that is None.

    The folder has, at any depth, the four IDX files under their original names
    (``train-images-idx3-ubyte``, ...), as they are or with ``.gz``; each pair of
    ``fewest`` images or more.
    """
    if data is None:
        return digits(28, train=train)
    split = "train" if train else "t10k"
    parts = []
    for name, size in (("images-idx3", (28, 28)), ("labels-idx1", ())):
        name = f"{split}-{name}-ubyte"
        paths = [p for n in (name, f"{name}.gz") for p in sorted(Path(data).rglob(n))]
        if not paths:
            raise FileNotFoundError(f"found no {name} or {name}.gz in {data}")
        parts.append(_read(_read_idx, paths[0], size))
    pixels, labels = parts[0][:, None], parts[1].astype(np.int32)
    images = Images(pixels, labels, FASHION, "Fashion-MNIST")
    return _checked(images, fewest, where=f"the {split} files of {data}")


def _read_idx(path, size):
    """Two zeros, a code of the type, the rank; the shape; the numbers, row by row."""
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    rank = 1 + len(size)
    if content[:4] != bytes([0, 0, 8, rank]):  # 8: bytes without a sign
        raise ValueError(f"expected IDX of type 8 and rank {rank}, found {content[:4]}")
    shape = tuple(np.frombuffer(content, ">u4", count=rank, offset=4).tolist())
    if shape[1:] != size:
        raise ValueError(f"expected the shape {size} of each, found {shape[1:]}")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)
