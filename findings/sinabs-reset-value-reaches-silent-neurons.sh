#!/usr/bin/env bash
# sinabs: MembraneReset(reset_value) adds its value to every neuron in every step, also to silent ones.
#
# Version    sinabs 3.1.3 on torch 2.13.0 (Python 3.11, numpy 2.3.5)
# Behaviour  MembraneReset is to "reset the membrane potential v_mem to a given value after it spiked".
#            Three neurons get 0, 0.25 and 1 in each of eight steps. With reset_value=0 that is so.
#            With reset_value=0.25 the neuron without any input climbs by 0.25 a step and spikes, and
#            with -0.25 it sinks to -2: v * (no spike) + reset_value is applied to all neurons, as if
#            each had been reset. The same happens in IAF and LIF, without a word.
# For users  A reset below rest, meant as a refractory dip, is a constant inhibition of the whole
#            layer, and one above rest makes neurons fire without input; rates and accuracies of
#            such layers are those of another model. Leave reset_value at 0, or give a function of
#            one's own as reset_fn.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3.11}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet sinabs==3.1.3 torch==2.13.0 numpy==2.3.5
cat > "$work/model.py" <<'MODEL'
import torch
from sinabs.activation import MembraneReset, SingleSpike
from sinabs.layers import IAF, LIF

given = torch.tensor([0, 0.25, 1]).repeat(1, 8, 1)  # batch, steps, neurons
for name, kind, told in (("IAF", IAF, {}), ("LIF", LIF, {"tau_mem": 1e6, "norm_input": False})):
    for value in (0.0, 0.25, -0.25):
        layer = kind(spike_fn=SingleSpike, reset_fn=MembraneReset(reset_value=value), **told)
        with torch.no_grad():
            spikes = layer(given)[0]
        trains = ("".join("|" if fired else "." for fired in train) for train in spikes.T)
        ends = (f"{v:.2f}" for v in layer.v_mem[0])
        print(f"{name} reset_value {value:<5}", *trains, "v_mem", *ends)
MODEL
"$work/venv/bin/python" "$work/model.py" 2> /dev/null | tee "$work/seen"
diff - "$work/seen" << 'SEEN'
IAF reset_value 0.0   ........ ...|...| |||||||| v_mem 0.00 0.00 0.00
IAF reset_value 0.25  ....|... ..|.|.|. |||||||| v_mem 1.00 0.75 0.25
IAF reset_value -0.25 ........ ........ |.|.|.|. v_mem -2.00 0.00 0.50
LIF reset_value 0.0   ........ ....|... |||||||| v_mem 0.00 0.75 0.00
LIF reset_value 0.25  .....|.. ..|..|.. |||||||| v_mem 0.75 1.25 0.25
LIF reset_value -0.25 ........ ........ |.|.|.|. v_mem -2.00 0.00 0.50
SEEN
