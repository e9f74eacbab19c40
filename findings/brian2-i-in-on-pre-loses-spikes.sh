#!/usr/bin/env bash
# Brian2 2.11: a synapse whose on_pre names its own index i loses spikes on the Cython target.
#
# Version    brian2 2.11.0 (Python 3.13, numpy 2.5.5, Cython 3.3.1); 2.10.1 too; 2.9.0 is right
# Behaviour  Six neurons spike at once; each has one synapse, whose on_pre writes i, the documented
#            index of the presynaptic neuron, to a variable of the synapse. With NumPy all six
#            synapses run. With Cython, the default at run time, not one of them has written
#            anything, and the run ends as if all were well: the generated loop over the synapses
#            that got a spike counts in a variable that is called i as well, Cython refuses it, and
#            the refusal is printed to stderr and passed over. j and i_pre are right.
# For users  After an upgrade, models with weights or probabilities by source index in on_pre run
#            on without these events. Write i_pre in place of i; it means the same.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3.13}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet \
  brian2==2.11.0 numpy==2.5.5 cython==3.3.1 pyparsing==3.3.3 setuptools==80.9.0
cat > "$work/model.py" <<'MODEL'
import sys

import numpy as np
from brian2 import Network, NeuronGroup, SpikeGeneratorGroup, Synapses, ms, prefs

prefs.codegen.target = sys.argv[1]
prefs.logging.file_log = False
source = SpikeGeneratorGroup(6, np.arange(6), np.zeros(6) * ms)
target = NeuronGroup(6, "x : 1", namespace={})
synapses = Synapses(source, target, "seen : 1", on_pre=f"seen = {sys.argv[2]}", namespace={})
synapses.connect(i=np.arange(6), j=np.arange(6)[::-1])
synapses.seen = -1
Network(source, target, synapses).run(0.3 * ms)
print(sys.argv[1], sys.argv[2], *(f"{value:.0f}" for value in synapses.seen[:]))
MODEL
for target in numpy cython; do
  for name in i i_pre j; do
    "$work/venv/bin/python" "$work/model.py" "$target" "$name" 2> /dev/null
  done
done | tee "$work/seen"
diff - "$work/seen" << 'SEEN'
numpy i 0 1 2 3 4 5
numpy i_pre 0 1 2 3 4 5
numpy j 5 4 3 2 1 0
cython i -1 -1 -1 -1 -1 -1
cython i_pre 0 1 2 3 4 5
cython j 5 4 3 2 1 0
SEEN
