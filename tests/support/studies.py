"""Small runs of the studies on Brian2's NumPy target."""

import pytest
from ann2brian.studies.frame import study as frame

N_IMAGES, N_TRAINS = 10, 4
SMALL = ("--images", str(N_IMAGES), "--spikes", str(N_TRAINS))
# Steps that are few, but more than one where a scheme has them.
FEW_STEPS = {
    "amos": (),
    "burst": ("--steps", "3", "--baseline-steps", "2"),
    "noise": ("--steps", "3"),
    "albsnn": ("--steps", "2"),
    "nir": ("--steps", "3"),
}


def quick_run(study, out, *flags, has_figures=False):
    """Result folder of a study of a few digits."""
    with pytest.MonkeyPatch.context() as patch:
        if not has_figures:
            patch.setattr(frame, "make_figures", lambda *_: [])
            patch.setattr(frame, "try_report", lambda *_: None)
        few = FEW_STEPS.get(study.name, ())
        fixed = ("--quick", "--target", "numpy", *SMALL, *few, "--out", str(out))
        return frame.run(study, [*fixed, *map(str, flags)])
