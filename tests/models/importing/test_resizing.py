"""Resizing matrices do what ONNX' reference evaluator does."""

import numpy as np
import pytest
from ann2brian.models.importing.resizing import COORDINATES, ROUNDINGS, resizing

from tests.support.with_files import onnx_or_skip


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize(("n_in", "n_out"), [(5, 8), (8, 5), (3, 9), (4, 1), (1, 3)])
@pytest.mark.parametrize("rounding", [*ROUNDINGS, None])
def test_equal_to_onnx(coordinates, n_in, n_out, rounding):
    """Every way to lay the new places on the old axis; None is linear."""
    onnx = onnx_or_skip()
    evaluator = pytest.importorskip("onnx.reference").ReferenceEvaluator
    x = np.random.default_rng(0).normal(size=(1, 1, n_in, 1)).astype(np.float32)
    node = onnx.helper.make_node(
        "Resize",
        ["x", "", "", "sizes"],
        ["y"],
        mode="nearest" if rounding else "linear",
        coordinate_transformation_mode=coordinates,
        nearest_mode=rounding or "floor",
    )
    sizes = np.array([1, 1, n_out, 1])
    (wanted,) = evaluator(node).run(None, {"x": x, "sizes": sizes})
    options = {"coordinates": coordinates, "linear": rounding is None}
    matrix = resizing(n_in, n_out, rounding=rounding or "floor", **options)
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    np.testing.assert_allclose(matrix @ x[0, 0], wanted[0, 0], rtol=1e-5, atol=1e-6)


def test_unknown_ways_are_refused():
    with pytest.raises(ValueError, match="tf_crop_and_resize"):
        resizing(3, 4, coordinates="tf_crop_and_resize")
