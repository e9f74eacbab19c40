#!/usr/bin/env bash
# snnTorch: with reset_delay=False a neuron can stand above its threshold for ever, without a spike.
#
# Version    snntorch 1.0.0 on torch 2.13.0 (Python 3.11, numpy 2.3.5)
# Behaviour  Leaky(beta=1, threshold=1) gets 3.25 once and nothing after. With the default,
#            reset_delay=True, it spikes three times, loses 1 for each, and rests at 0.25. With
#            reset_delay=False, which subtracts in the step of the spike, it spikes twice and then
#            stays at 1.25, above its threshold, without a spike in any later step. What is left above
#            the threshold after a spike is taken for a spike of the step before: the threshold is
#            subtracted at the start of the next step, no spike follows, and the threshold is added
#            back "to avoid a double reset"; and so on in each step. With reset_mechanism="zero" all is
#            well.
# For users  One strong input is enough: a neuron that gets more than two thresholds in a step falls
#            silent until its potential leaks away, its spikes are lost, and a rate no longer grows
#            with the input. Take reset_delay=True, or inputs below two thresholds.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3.11}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet snntorch==1.0.0 torch==2.13.0 numpy==2.3.5
cat > "$work/model.py" <<'MODEL'
import snntorch
import torch

inputs = [3.25, 0, 0, 0, 0, 0, 0, 0]
for mechanism in ("subtract", "zero"):
    for delay in (True, False):
        neuron = snntorch.Leaky(
            beta=1.0, threshold=1.0, reset_mechanism=mechanism, reset_delay=delay
        )
        potential, seen = torch.zeros(1), []
        for x in inputs:
            spike, potential = neuron(torch.tensor([x], dtype=torch.float32), potential)
            seen.append((int(spike), float(potential)))
        spikes = "".join("|" if fired else "." for fired, _ in seen)
        print(f"{mechanism:<8} delay {delay!s:<5} {spikes}", *(f"{v:.2f}" for _, v in seen))
MODEL
"$work/venv/bin/python" "$work/model.py" 2> /dev/null | tee "$work/seen"
diff - "$work/seen" << 'SEEN'
subtract delay True  |||..... 3.25 2.25 1.25 0.25 0.25 0.25 0.25 0.25
subtract delay False ||...... 2.25 1.25 1.25 1.25 1.25 1.25 1.25 1.25
zero     delay True  |....... 3.25 0.00 0.00 0.00 0.00 0.00 0.00 0.00
zero     delay False |....... 0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00
SEEN
