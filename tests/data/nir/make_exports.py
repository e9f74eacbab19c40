"""Write our networks as NIR files for each tool, with the spikes that the tool should have.

    python tests/data/nir/make_exports.py FOLDER

Then, in the environment of each tool, `check_exports.py TOOL FOLDER RESULT.csv`.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np

import ann2brian as ab

TOOLS = ("snntorch", "sinabs", "spikingjelly", "norse", "spyx", "nirtorch")
N_IMAGES = 64
# By case: network, options.
CASES = {
    "albsnn": ("digits-albsnn", ab.AlbsnnOptions()),
    "albsnn, 4 steps": ("digits-albsnn", ab.AlbsnnOptions(n_steps=4)),
    "albsnn, soft reset": ("digits-albsnn", ab.AlbsnnOptions(n_steps=4, reset="soft", leak=1.0)),
    "noise": ("digits-noise", ab.NoiseOptions(n_steps=8)),
    "noise, start 0": ("digits-noise", ab.NoiseOptions(n_steps=8, mean=0.0)),
    "noise, hard reset": ("digits-noise", ab.NoiseOptions(n_steps=8, mean=0.0, reset="hard")),
    "burst, Gamma 1": ("digits-rate", ab.BurstOptions(n_steps=16, gamma=1)),
    "burst, Gamma 1, start 0": ("digits-rate", ab.BurstOptions(n_steps=16, gamma=1, initial=0.0)),
    "burst, Gamma 5, start 0": ("digits-rate", ab.BurstOptions(n_steps=16, initial=0.0)),
    "burst, Gamma 3, LIPool": ("digits-burst", ab.BurstOptions(n_steps=8, gamma=3)),
    "burst, OR pooling": ("digits-burst", ab.BurstOptions(n_steps=16, gamma=1, pooling="or")),
}


def main(folder):
    """All cases for all tools."""
    folder.mkdir(parents=True, exist_ok=True)
    images, _ = (part[:N_IMAGES] for part in ab.load_images("digits", "test"))
    training, _ = ab.load_images("digits", "train")
    for case, (name, options) in CASES.items():
        conversion = ab.convert(ab.load_network(ab.trained(name)), options, training[:512])
        for tool in TOOLS:
            for input_as in ("currents", "standardised"):
                path = folder / f"{tool}-{case}-{input_as}.nir".replace(", ", "-").replace(" ", "_")
                export = ab.to_nir(
                    conversion,
                    path,
                    written_for=None if tool == "nirtorch" else tool,  # the definition, as graphs
                    as_graph=tool == "nirtorch",
                    on_loss="nearest",
                    input_as=input_as,
                    images=images,
                )
                expected = export.expected(images)
                about = {
                    "case": case,
                    "network": name,
                    "input": input_as,
                    "n_steps": conversion.spiking.readout.n_steps,
                    "late": export.steps_late,
                    "losses": export.losses,
                    "ours_differing": sum(export.loss.differing.values()),
                }
                np.savez_compressed(
                    path.with_suffix(".npz"),
                    about=np.array(json.dumps(about)),
                    input=export.inputs(images),
                    **{f"spikes {node}": counts for node, counts in expected.items()},
                )
                print(path.stem, export.loss, export.losses)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))
