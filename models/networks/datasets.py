"""Image data sets by name: digits, mnist, fashion-mnist, cifar-10 and cifar-100.

| name | images | folder in a data folder |
|---|---|---|
| ``digits`` | 8 x 8, 16 grey values | none, it comes with scikit-learn |
| ``mnist`` | 28 x 28, grey | ``mnist/*.gz``, the four official files |
| ``fashion-mnist`` | 28 x 28, grey | ``fashion-mnist/*.gz``, the four official files |
| ``cifar-10`` | 32 x 32, colour | ``cifar-10-batches-bin/*.bin``, the official binary version |
| ``cifar-100`` | 32 x 32, colour | ``cifar-100-binary/*.bin``, the official binary version |

Sources: LeCun, Bottou, Bengio, Haffner (1998) Proc. IEEE 86(11), 2278-2324 (MNIST); Xiao, Rasul,
Vollgraf (2017) arXiv:1708.07747; Krizhevsky (2009) Learning multiple layers of features from tiny
images, technical report, University of Toronto.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from numpy.typing import NDArray

from ..arrays import Integers
from .dataset_files import SETTING as SETTING
from .dataset_files import SPLITS, BinaryFiles, Digits, IdxFiles, Source
from .dataset_files import DatasetError as DatasetError

_TEN = tuple("0123456789")
_FASHION_CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
_CIFAR_10_CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
# The fine labels, as fine_label_names.txt of the archive has them.
_CIFAR_100_CLASSES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup
dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower
leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange
orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit
raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel
streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip
turtle wardrobe whale willow_tree wolf woman worm
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What is known about a data set without reading it.

    Parameters
    ----------
    shape : tuple of int
        (H, W, C) of one image.
    maximum : int
        Largest pixel value.
    classes : tuple of str
        Names, in the order of the labels.
    source : Source
        Where its files come from, and how they are read.
    """

    shape: tuple[int, int, int]
    maximum: int
    classes: tuple[str, ...]
    source: Source


DATASETS: dict[str, Dataset] = {
    "digits": Dataset(shape=(8, 8, 1), maximum=16, classes=_TEN, source=Digits()),
    "mnist": Dataset(
        shape=(28, 28, 1),
        maximum=255,
        classes=_TEN,
        source=IdxFiles(
            folder="mnist",
            mirrors=(
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "http://yann.lecun.com/exdb/mnist/",
            ),
            # The md5 sums with which torchvision verifies the four files of its author.
            md5={
                "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
                "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
                "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
            },
        ),
    ),
    "fashion-mnist": Dataset(
        shape=(28, 28, 1),
        maximum=255,
        classes=_FASHION_CLASSES,
        source=IdxFiles(
            folder="fashion-mnist",
            mirrors=(
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            ),
            # The md5 sums that the authors publish in the README of zalandoresearch/fashion-mnist.
            md5={
                "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
                "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
                "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
            },
        ),
    ),
    # Both md5 sums are published beside the downloads, https://www.cs.toronto.edu/~kriz/cifar.html.
    "cifar-10": Dataset(
        shape=(32, 32, 3),
        maximum=255,
        classes=_CIFAR_10_CLASSES,
        source=BinaryFiles(
            name="cifar-10",
            folder="cifar-10-batches-bin",
            archive="cifar-10-binary.tar.gz",
            md5="c32a1d4ab5d03f1284b67883e8d87530",
            files={
                "train": {f"data_batch_{number}.bin": 10_000 for number in range(1, 6)},
                "test": {"test_batch.bin": 10_000},
            },
            n_labels=1,
            n_classes=10,
        ),
    ),
    "cifar-100": Dataset(
        shape=(32, 32, 3),
        maximum=255,
        classes=tuple(_CIFAR_100_CLASSES.split()),
        source=BinaryFiles(
            name="cifar-100",
            folder="cifar-100-binary",
            archive="cifar-100-binary.tar.gz",
            md5="03b5dce01913d631647c71ecec9e9cb8",
            files={"train": {"train.bin": 50_000}, "test": {"test.bin": 10_000}},
            n_labels=2,  # the first one is the superclass
            n_classes=100,
        ),
    ),
}


def describe(name: str) -> Dataset:
    """Return shape, pixel range and classes of a data set.

    Parameters
    ----------
    name : str
        One of `DATASETS`.

    Returns
    -------
    Dataset
        The entry of `DATASETS`.

    Raises
    ------
    DatasetError
        If there is no such data set.
    """
    if name not in DATASETS:
        raise DatasetError(f"no data set {name!r}; there are {', '.join(DATASETS)}")
    return DATASETS[name]


def classes(name: str) -> tuple[str, ...]:
    """Return the class names of a data set in the order of its labels.

    Parameters
    ----------
    name : str
        One of `DATASETS`.

    Returns
    -------
    tuple of str
        One name per class.

    Raises
    ------
    DatasetError
        If there is no such data set.
    """
    return describe(name).classes


def load(name: str, split: str, data: str | Path | None = None) -> tuple[NDArray, Integers]:
    """Read one split of a data set.

    Parameters
    ----------
    name : str
        ``digits``, ``mnist``, ``fashion-mnist``, ``cifar-10`` or ``cifar-100``.
    split : str
        ``train`` or ``test``.
    data : str or Path, optional
        Data folder; by default the environment variable ANN2BRIAN_DATA, and without that a
        download. The digits need none.

    Returns
    -------
    images : ndarray, shape (n, H, W, C)
        uint8, from 0 to 16 (digits) or 255 (the others).
    labels : ndarray, shape (n,)
        int64.

    Raises
    ------
    DatasetError
        For an unknown name or split, and if a file is missing, damaged or cannot be downloaded;
        the message names the file or folder and says what to do.
    """
    source = describe(name).source
    if split not in SPLITS:
        raise DatasetError(f"no split {split!r}; there are {', '.join(SPLITS)}")
    return source.read(split, data)
