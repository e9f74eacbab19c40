#!/usr/bin/env bash
# A model that Keras 2 saved with hard_sigmoid loads in Keras 3 without a word, and computes another
# function.
#
# Version    keras 3.15.1 on torch 2.13.0 (Python 3.11), an .h5 file in the layout of keras 2.15.0
# Behaviour  The file names the activation only. In Keras 2 "hard_sigmoid" was clip(0.2 x + 0.5, 0, 1),
#            in Keras 3 it is clip(x / 6 + 0.5, 0, 1). `load_model` reads `keras_version` from the
#            file, warns of nothing and applies the new one: at x = 2 it answers 0.8333, where the
#            trained network had 0.9.
# For users  Squeeze-and-excitation blocks and recurrent gates of older models change their values
#            on loading, by up to 0.083 a gate; accuracy falls, and no layer raises an error. Compare
#            a loaded model with outputs that were kept from the old one, or replace the activation
#            by a Rescaling(0.2, 0.5) and a clip before saving.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3.11}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.13.0 keras==3.15.1 h5py==3.16.0 numpy==2.3.5
cat > "$work/model.py" <<'MODEL'
import json
import os
import sys
import warnings

os.environ["KERAS_BACKEND"] = "torch"
warnings.simplefilter("error")
import h5py
import keras
import numpy as np

warnings.filterwarnings("ignore", category=DeprecationWarning)  # of NumPy's, about Keras
path = sys.argv[1]
layers = [
    {
        "class_name": "InputLayer",
        "config": {"batch_input_shape": [None, 4], "dtype": "float32", "name": "x"},
    },
    {
        "class_name": "Activation",
        "config": {"activation": "hard_sigmoid", "dtype": "float32", "name": "gate"},
    },
]
config = {"class_name": "Sequential", "config": {"name": "net", "layers": layers}}
with h5py.File(path, "w") as file:
    file.attrs["keras_version"] = "2.15.0"
    file.attrs["backend"] = "tensorflow"
    file.attrs["model_config"] = json.dumps(config)
    weights = file.create_group("model_weights")
    weights.attrs["layer_names"] = np.array([b"gate"])
    weights.create_group("gate").attrs["weight_names"] = np.zeros(0, "S1")
model = keras.models.load_model(path, compile=False)
x = np.array([[-2.0, 0.0, 2.0, 2.75]], np.float32)
print("keras 3", *(f"{y:.4f}" for y in np.asarray(model.predict(x, verbose=0))[0]))
print("keras 2", *(f"{y:.4f}" for y in np.clip(0.2 * x + 0.5, 0, 1)[0]))
MODEL
"$work/venv/bin/python" "$work/model.py" "$work/net.h5" > "$work/seen"
cat "$work/seen"
diff - "$work/seen" << 'SEEN'
keras 3 0.1667 0.5000 0.8333 0.9583
keras 2 0.1000 0.5000 0.9000 1.0000
SEEN
