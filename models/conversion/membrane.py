"""What the membranes of several schemes share: unit, threshold, reset and release."""

from __future__ import annotations

from brian2 import volt

UNIT_VOLT = 2.0**-6  # one network unit is the threshold
V_TH = UNIT_VOLT * volt
RELEASES = {  # when a layer may spike
    "double-buffer": "age >= 0",
    "alternating": "age >= 0 and age % 2 == 1",
}
# The first `limit` steps of a phase: at most Gamma spikes, one step apart.
IN_BURST = "t_in_timesteps % phase < limit"


RESETS = {"soft": "v -= v_th", "hard": "v = 0*volt"}
