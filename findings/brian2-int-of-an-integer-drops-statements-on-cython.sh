#!/usr/bin/env bash
# Brian2: on the Cython target, statements with int() of an integer variable are left out of the run.
#
# Version    brian2 2.11.0 (Python 3.13, numpy 2.5.5, Cython 3.3.1); 2.9.0 too
# Behaviour  int() makes numbers of conditions and rounds down, so that it stands in many models; of
#            a parameter that is declared `integer` it changes nothing. With NumPy and in C++ that is
#            so. With Cython, the default at run time, all statements of the run_regularly, reset or
#            on_pre that holds it are left out, also those beside it: the overloads of int that
#            Brian2 declares cannot be told apart for 32-bit integers, Cython refuses the whole
#            file, prints its reasons to stderr, and the run goes on without it to its end.
# For users  A reset that says `refractory_steps = int(n) + 1` resets nothing: neurons stay above
#            threshold and spike in every step. Leave int() away, or watch stderr.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3.13}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet \
  brian2==2.11.0 numpy==2.5.5 cython==3.3.1 pyparsing==3.3.3 setuptools==80.9.0
cat > "$work/model.py" <<'MODEL'
import sys

from brian2 import Network, NeuronGroup, SpikeMonitor, ms, prefs

prefs.codegen.target = sys.argv[1]
prefs.logging.file_log = False
neuron = NeuronGroup(
    1,
    "v : 1\nn : integer\nwait : integer",
    threshold="v > 1",
    reset=f"v = 0\nwait = {sys.argv[2]}",
    namespace={},
)
neuron.v, neuron.n = 2, 3
spikes = SpikeMonitor(neuron)
Network(neuron, spikes).run(1 * ms)
print(sys.argv[1], sys.argv[2], "spikes", spikes.num_spikes, "v", neuron.v[0], "wait", neuron.wait[0])
MODEL
for target in numpy cython; do
  for value in 'int(n) + 1' 'n + 1' 'int(v > 1) + 1'; do
    "$work/venv/bin/python" "$work/model.py" "$target" "$value" 2> "$work/said"
    grep -c "ambiguous overloaded method" "$work/said" || true
  done
done | tee "$work/seen"
diff - "$work/seen" << 'SEEN'
numpy int(n) + 1 spikes 1 v 0.0 wait 4
0
numpy n + 1 spikes 1 v 0.0 wait 4
0
numpy int(v > 1) + 1 spikes 1 v 0.0 wait 1
0
cython int(n) + 1 spikes 10 v 2.0 wait 0
1
cython n + 1 spikes 1 v 0.0 wait 4
0
cython int(v > 1) + 1 spikes 1 v 0.0 wait 1
0
SEEN
