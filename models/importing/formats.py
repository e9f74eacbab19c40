"""Which files hold a network that is read, and what to do with those that are not."""

from __future__ import annotations

from pathlib import Path

READ = {
    ".safetensors": "safetensors",
    ".onnx": "onnx",
    ".keras": "keras",
    ".h5": "keras",
    ".hdf5": "keras",
}
_EXPORT = "export the network to ONNX (.onnx) or Keras (.keras)"
_PICKLED = (
    "may hold pickled code, which is not run; build the module in Python, load its weights with "
    "torch.load(..., weights_only=True), and give it to from_torch"
)
_INSTEAD = {
    **dict.fromkeys((".pt", ".pth", ".bin", ".ckpt"), _PICKLED),
    ".pt2": "holds a program of torch.export; give the module to from_torch",
    ".pb": "holds a TensorFlow graph; save the Keras model as .keras, or write ONNX with: "
    "python -m tf2onnx.convert --graphdef FILE --output net.onnx",
    ".tflite": "holds a TensorFlow Lite model; save the Keras model that it was made of as .keras",
    **dict.fromkeys(
        (".mlmodel", ".mlpackage"),
        "holds a Core ML model; give the model that it was made of to from_torch or from_keras",
    ),
    **dict.fromkeys((".pkl", ".pickle", ".joblib"), f"is a pickle, which is not run; {_EXPORT}"),
    **dict.fromkeys((".npz", ".npy"), f"holds arrays and no structure; {_EXPORT}"),
    ".json": f"holds a structure and no weights; {_EXPORT}",
    ".caffemodel": f"holds a Caffe model; {_EXPORT}",
}


def network_format(path: str | Path) -> str:
    """Say which reader reads a file, by its name.

    Parameters
    ----------
    path : str or Path
        A file, or a folder.

    Returns
    -------
    str
        ``"safetensors"`` (`load_network`), ``"onnx"`` (`from_onnx`) or ``"keras"`` (`from_keras`).

    Raises
    ------
    ValueError
        If no reader does; the message names the file and says what to do.
    """
    path = Path(path)
    if path.is_dir() and (path / "saved_model.pb").exists():
        raise ValueError(
            f"{path}: is a TensorFlow SavedModel; save the Keras model as .keras, or write ONNX "
            f"with: python -m tf2onnx.convert --saved-model {path} --output net.onnx"
        )
    suffix = path.suffix.lower()
    if path.is_dir() and suffix not in _INSTEAD:
        raise ValueError(f"{path}: is a folder, not a network file")
    if suffix in READ:
        return READ[suffix]
    why = _INSTEAD.get(suffix, f"is in no format that is known here; {_EXPORT}")
    raise ValueError(f"{path}: {why}; read are {', '.join(READ)}")
