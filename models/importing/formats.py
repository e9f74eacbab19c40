"""Which files hold a network that is read, and what to do with those that are not."""

from __future__ import annotations

from pathlib import Path

from ..networks.file_formats import ABOUT, checked_path, recognised

READ = {
    ".safetensors": "safetensors",
    ".onnx": "onnx",
    ".keras": "keras",
    ".h5": "keras",
    ".hdf5": "keras",
    ".nir": "nir",
}
_BY_NAME = ABOUT | {"nir": "is a NIR file; from_nir reads it, or studies/run_nir.py"}
_READERS = {"safetensors": "safetensors", "onnx": "onnx", "keras": "keras", "hdf5": "keras"}
_EXPORT = "export the network to ONNX (.onnx) or Keras (.keras)"
_INSTEAD = {
    **dict.fromkeys((".pt", ".pth", ".bin", ".ckpt"), ABOUT["torch"]),
    ".pt2": ABOUT["torch.export"],
    ".pb": "holds a TensorFlow graph; save the Keras model as .keras, or write ONNX with: "
    "python -m tf2onnx.convert --graphdef FILE --output net.onnx",
    ".tflite": ABOUT["tflite"],
    **dict.fromkeys(
        (".mlmodel", ".mlpackage"),
        "holds a Core ML model; give the model that it was made of to from_torch or from_keras",
    ),
    **dict.fromkeys((".pkl", ".pickle", ".joblib"), ABOUT["pickle"]),
    **dict.fromkeys((".npz", ".npy"), ABOUT["numpy"]),
    ".json": f"holds a structure and no weights; {_EXPORT}",
    ".caffemodel": f"holds a Caffe model; {_EXPORT}",
}


def network_format(path: str | Path) -> str:
    """Say which reader reads a file, by its content, or by its name if that tells nothing.

    Parameters
    ----------
    path : str or Path
        A file, or a folder.

    Returns
    -------
    str
        ``"safetensors"`` (`load_network`), ``"onnx"`` (`from_onnx`), ``"keras"`` (`from_keras`) or
        ``"nir"`` (`from_nir`).

    Raises
    ------
    ValueError
        If no reader does; the message names the file and says what to do.
    """
    path = checked_path(path, "network_format")
    content, suffix = recognised(path), path.suffix.lower()
    if content == "hdf5" and suffix == ".nir":  # Keras writes HDF5, too
        return "nir"
    if content in _READERS:
        return _READERS[content]
    if content is None and suffix in READ:
        return READ[suffix]
    raise ValueError(f"{path}: {about(path)}; read are {', '.join(READ)}")


def about(path: str | Path) -> str:
    """Say what a file is and who reads it, by its content, or by its name if that tells nothing.

    Parameters
    ----------
    path : str or Path
        A file; there need not be one.

    Returns
    -------
    str
        To be put after its name.
    """
    suffix = Path(path).suffix.lower()
    unknown = f"is in no format that is known here; {_EXPORT}"
    by_name = _BY_NAME[READ[suffix]] if suffix in READ else _INSTEAD.get(suffix, unknown)
    content = recognised(path)
    if content is None or (content == "folder" and suffix in _INSTEAD):
        return by_name
    return ABOUT[content]
