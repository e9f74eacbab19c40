"""What an image is and how a model sees it, without any framework."""

import numpy as np
import pytest
from ann2brian.models.importing.entry import Layout, Standardisation, read_sample
from ann2brian.models.networks.network import InputCoding

RNG = np.random.default_rng(3)
BYTES = RNG.integers(0, 256, (20, 6, 5, 3)).astype(np.uint8)
BYTES[0, 0, 0, 0] = 255
MEAN, STD = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.25, 0.3])


def takes(*axes):
    """A model that takes arrays of these axes beside the batch."""
    return lambda x: None if x.shape[1:] == axes else f"not {axes}"


def sample(example, *axes, stated=None, **options):
    options = {"channels_first": True, **options}
    return read_sample(example, stated or Standardisation(), accepts=takes(*axes), **options)


@pytest.mark.parametrize(
    "shape, axes",
    [
        ((6, 5, 3), "(n, C, H, W)"),
        ((6, 5, 3), "(n, H, W, C)"),
        ((6, 5, 1), "(n, H, W)"),
        ((1, 7, 3), "(n, C, L)"),
        ((1, 7, 3), "(n, L, C)"),
        ((1, 1, 9), "(n, F)"),
        ((6, 5, 3), "(n, C * H * W)"),
    ],
)
def test_layout_is_undone(shape, axes):
    """Images as the model sees them and back; the value of the input reads the same."""
    layout = Layout(shape, axes)
    images = RNG.normal(size=(4, *shape))
    seen = layout.seen(images)
    np.testing.assert_array_equal(layout.images(seen), images)
    np.testing.assert_array_equal(layout.value.read(images), seen)


@pytest.mark.parametrize("pixel_scale", [1, 255])
def test_bytes_are_standardised_as_torchvision_does(pixel_scale):
    """ToTensor and Normalize, and pixels as they are, against their formulas."""
    found = sample(BYTES, 3, 6, 5, stated=Standardisation(MEAN, STD, pixel_scale))
    assert (found.coding.maximum, found.coding.signed) == (255, False)
    pixels = found.images / 255 * pixel_scale
    np.testing.assert_allclose(
        found.inputs, ((pixels - MEAN) / STD).transpose(0, 3, 1, 2), rtol=1e-12, atol=1e-12
    )
    assert len(found.images) == 8


def test_real_images_are_not_divided():
    """Real numbers of a declared and of a guessed range."""
    real = RNG.normal(size=(20, 40, 2))
    stated = Standardisation(0.1, 2.0, maximum=8)
    found = sample(real, 2, 40, stated=stated)
    assert (found.coding.maximum, found.coding.signed, found.coding.shape) == (8, True, (1, 40, 2))
    np.testing.assert_allclose(
        found.inputs, (found.images[:, 0].transpose(0, 2, 1) - 0.1) / 2, atol=1e-12
    )
    with pytest.warns(UserWarning, match=r"range of the images is a guess.*maximum="):
        found = sample(real, 2, 40)
    assert found.coding.maximum == np.abs(real).max()


@pytest.mark.parametrize(
    "example, axes, shape",
    [
        (BYTES[..., 0], (1, 6, 5), (6, 5, 1)),
        (BYTES[..., 0], (6, 5), (6, 5, 1)),
        (BYTES[..., 0], (5, 6), (1, 6, 5)),
        (BYTES[..., 0], (30,), (6, 5, 1)),
        (BYTES[:, 0, 0], (3,), (1, 1, 3)),
        (BYTES[:, 0, 0], (3, 1, 1), (1, 1, 3)),
    ],
)
def test_layout_is_found(example, axes, shape):
    """Axes of raw images and of the model against the shape of ours; values are the pixels."""
    found = sample(example, *axes)
    assert found.coding.shape == shape
    assert found.inputs.shape[1:] == axes
    picked = np.sort(found.images.reshape(8, -1))
    np.testing.assert_allclose(np.sort(found.inputs.reshape(8, -1)) * 255, picked, atol=1e-9)


def test_ambiguous_layout_is_refused():
    """Square grey images or sequences that the model takes either way."""
    with pytest.raises(ValueError, match=r"can be seen as \(n, C, L\) or as \(n, H, W\)"):
        sample(BYTES[:, :5, :, 0], 5, 5)


@pytest.mark.parametrize("options", [{}, {"input": InputCoding((6, 5, 3), 255, STD, MEAN)}])
def test_colours_may_have_been_flattened_in_either_order(options):
    """A model of vectors does not say which; a transform does, and so does a vector."""
    flat = "let the model flatten by itself, give transform="
    with pytest.raises(ValueError, match=rf"\(n, C \* H \* W\) or as \(n, F\).*{flat}"):
        sample(BYTES, 90, **options)
    if options:
        with pytest.raises(ValueError, match=r"\(n, C \* H \* W\) or as \(n, F\)"):
            sample(None, 90, **options)
        x = options["input"].standardise(BYTES).reshape(20, 90)
        with pytest.raises(ValueError, match=r"\(n, C \* H \* W\) or as \(n, F\)"):
            sample(x, 90, is_model_input=True, **options)
    else:
        for view in (BYTES, BYTES.transpose(0, 3, 1, 2)):
            rows = {one.tobytes(): x.ravel() / 255 for one, x in zip(BYTES, view, strict=True)}
            found = sample(BYTES, 90, transform=lambda one, rows=rows: rows[one.tobytes()])
            np.testing.assert_allclose(found.inputs[-1], view[-1].ravel() / 255)
        vectors = BYTES.reshape(20, 90) / np.float64(255)
        assert sample(vectors, 90, is_model_input=True).coding.shape == (1, 1, 90)


@pytest.mark.parametrize("channels", [1, 3])
def test_raw_images_with_their_channels_first_are_refused(channels):
    """A model that begins with a flatten takes them either way, and one way is wrong."""
    raw = BYTES[..., :channels].transpose(0, 3, 1, 2)
    message = rf"\(20, {channels}, 6, 5\) seems to have its channels first.*moveaxis"
    with pytest.raises(ValueError, match=message):
        read_sample(raw, Standardisation(), accepts=lambda x: None, channels_first=True)


def test_example_and_coding_are_the_same_thing():
    """A given coding with raw images of its shape, and of another one."""
    coding = InputCoding((6, 5, 3), 255, 1 / (255 * STD), -MEAN / STD)
    assert sample(BYTES, 3, 6, 5, input=coding).coding is coding
    with pytest.raises(ValueError, match=r"holds 255 at .*from 0 to 31"):
        sample(BYTES, 3, 6, 5, input=InputCoding((6, 5, 3), 31, STD, MEAN))
    with pytest.raises(ValueError, match=r"shape \(20, 6, 5, 3\), input= is for images of"):
        sample(BYTES, 3, 6, 5, input=InputCoding((5, 6, 3), 255, STD, MEAN))
    with pytest.raises(ValueError, match="leave mean, std, pixel_scale and maximum out"):
        sample(BYTES, 3, 6, 5, stated=Standardisation(0.5), input=coding)


# Inputs of the model


def test_pixels_are_computed_back():
    """Standardised float32 inputs against the pixels that they were made of."""
    x = ((BYTES / 255 - MEAN) / STD).astype(np.float32).transpose(0, 3, 1, 2)
    found = sample(x, 3, 6, 5, stated=Standardisation(MEAN, STD), is_model_input=True)
    assert (found.coding.maximum, found.coding.signed) == (255, False)
    np.testing.assert_array_equal(found.images, BYTES[:8])
    coding = found.coding
    found = sample(x, 3, 6, 5, input=coding, is_model_input=True)
    np.testing.assert_array_equal(found.images, BYTES[:8])
    assert found.coding is coding


def test_wrong_standardisation_of_inputs_is_refused():
    """Inputs that other numbers made against the message with a pixel that is none."""
    x = ((BYTES / 255 - MEAN) / STD).transpose(0, 3, 1, 2)
    for stated in (Standardisation(0.5, 0.25), Standardisation(MEAN, STD, pixel_scale=2)):
        with pytest.raises(ValueError, match=r"not what mean, std and pixel_scale make.*comes out"):
            sample(x, 3, 6, 5, stated=stated, is_model_input=True)


def test_real_inputs_are_real_images():
    """Inputs that are no pixels, without any statement, of sequences channels first."""
    x = RNG.normal(size=(20, 2, 40))
    with pytest.warns(UserWarning, match="range of the images is a guess: real numbers"):
        found = sample(x, 2, 40, is_model_input=True)
    assert (found.coding.signed, found.coding.shape) == (True, (1, 40, 2))
    np.testing.assert_array_equal(found.inputs, x[:8])
    found = sample(x, 2, 40, stated=Standardisation(maximum=9), is_model_input=True)
    assert (found.coding.signed, found.coding.maximum) == (True, 9)


# A transform


def normalised(image):
    """What torchvision makes of one image."""
    return ((image / 255 - MEAN) / STD).transpose(2, 0, 1)


def test_transform_agrees():
    """The transform of the training against mean and std."""
    found = sample(BYTES, 3, 6, 5, stated=Standardisation(MEAN, STD), transform=normalised)
    np.testing.assert_allclose(found.inputs[0], normalised(BYTES[0]), atol=1e-12)


def test_transform_tells_which_way_sequences_lie():
    """Square arrays, of which the transform says what their axes are."""
    square = BYTES[:, :5, :, 0]
    for transform, shape in ((lambda x: x.T / 255, (1, 5, 5)), (lambda x: x / 255, (5, 5, 1))):
        assert sample(square, 5, 5, transform=transform).coding.shape == shape


@pytest.mark.parametrize(
    "stated",
    [
        Standardisation(),
        Standardisation(MEAN, STD[::-1]),
        Standardisation(MEAN * 255, STD * 255),
        Standardisation(MEAN, STD, pixel_scale=255),
        Standardisation(MEAN, STD, maximum=256),
    ],
)
def test_wrong_standardisation_is_refused(stated):
    """Other numbers than the transform's against the message with both values."""
    message = r"transform= gives -?[\d.]+ where mean, std.* give -?[\d.]+.*transform = .* \* ours"
    with pytest.raises(ValueError, match=message):
        sample(BYTES, 3, 6, 5, stated=stated, transform=normalised)


def test_transform_that_fails_or_crops():
    """What the transform raises, and another size than the image's."""
    with pytest.raises(ValueError, match=r"transform= fails on an image .*uint8: KeyError: 'x'"):
        sample(BYTES, 3, 6, 5, transform=lambda image: {}["x"])
    with pytest.raises(ValueError, match=r"makes \(3, 4, 5\) of an image of shape \(6, 5, 3\)"):
        sample(BYTES, 3, 4, 5, transform=lambda image: normalised(image)[:, :4])
    with pytest.raises(ValueError, match="transform= is compared on images"):
        sample(None, 3, 6, 5, transform=normalised)
    with pytest.raises(ValueError, match="transform= takes raw images"):
        sample(BYTES, 6, 5, 3, transform=normalised, is_model_input=True)


# Without images


def test_without_example():
    """Random images of a declared layout, of a coding, and of neither."""
    declared = Layout((6, 5, 3), "(n, C, H, W)")
    with pytest.warns(UserWarning, match="guess: whole numbers from 0 to 255"):
        found = sample(None, 3, 6, 5, declared=declared, stated=Standardisation(MEAN, STD))
    assert found.coding.maximum == 255
    assert found.images.min() < 5 and found.images.max() > 250
    found = sample(None, 3, 6, 5, input=InputCoding((6, 5, 3), 2.5, STD, MEAN, signed=True))
    assert found.images.min() < -2 and found.images.max() > 2
    with pytest.raises(ValueError, match="give example=, or input="):
        sample(None, 3, 6, 5)


# What is wrong with an example


@pytest.mark.parametrize(
    "example, message",
    [
        (np.zeros((3,)), r"must hold at least one image as numbers"),
        (np.zeros((0, 6, 5, 3)), r"must hold at least one image"),
        (np.zeros((2, 6, 5, 3, 1)), r"must hold at least one image"),
        (np.array([["a"]]), r"must hold at least one image.*<U1"),
        ("mine.npz", r"images of a file are ab.read_images\(path\).images"),
        (BYTES.transpose(0, 3, 1, 2), "seems to have its channels first"),
        (np.full((2, 6, 5, 3), np.nan), "holds NaN or inf"),
        (BYTES[:, :4], r"no logits for images of shape \(4, 5, 3\); as \(n, C, H, W\) of shape"),
        (BYTES * 2.0, "above maximum=255"),
    ],
)
def test_bad_example(example, message):
    """Ranks, types, sizes and values against the message."""
    with pytest.raises(ValueError, match=message):
        sample(example, 3, 6, 5, stated=Standardisation(maximum=255))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"std": 0}, "std must be finite and > 0, got 0"),
        ({"std": [0.2, -0.2, 0.2]}, "std must be finite and > 0"),
        ({"mean": np.nan}, "mean must be finite, got nan"),
        ({"mean": "grey"}, "mean must be numbers, got 'grey'"),
        ({"pixel_scale": -1}, "pixel_scale must be finite and > 0, got -1"),
        ({"maximum": 0}, "maximum must be finite and > 0, got 0"),
        ({"mean": [0.1, 0.2]}, r"mean has 2 numbers, images of shape \(6, 5, 3\) have 3 channels"),
    ],
)
def test_bad_standardisation(options, message):
    """Numbers that cannot be against the message with the value."""
    with pytest.raises(ValueError, match=message):
        sample(BYTES, 3, 6, 5, stated=Standardisation(**options))


@pytest.mark.parametrize(
    "raw, maximum", [(np.arange(4), 3), (np.arange(17), 31), (np.array([0, 1.0]), 1)]
)
def test_range_of_whole_numbers_is_a_guess(raw, maximum):
    """Whole numbers that are no bytes: the next power of two less one, with a warning."""
    with pytest.warns(UserWarning, match=f"whole numbers from 0 to {maximum}"):
        found = sample(raw[:, None], 1)
    assert (found.coding.maximum, found.coding.signed) == (maximum, False)
    found = sample(raw[:, None], 1, stated=Standardisation(maximum=20))
    assert (found.coding.maximum, found.coding.gain) == (20, 1 / 20)
