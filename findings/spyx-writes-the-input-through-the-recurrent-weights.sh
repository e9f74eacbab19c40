#!/usr/bin/env bash
# spyx: a NIR file of a recurrent layer leads its input through the recurrent weights.
#
# Version    spyx 1.0.0 (jax 0.10.2, flax 0.12.8), nir 1.0.8 (Python 3.11, numpy 2.3.5)
# Behaviour  RIF adds two things to the potentials of its neurons: the input as it is, and the
#            neurons' spikes through the recurrent weights. Without recurrent weights (all 0) two
#            neurons with the inputs 0.5 and 0.25 spike. The file that to_nir writes has the edges
#            input -> w_rec, w_rec -> lif, lif -> w_rec, lif -> output and none from input to lif: by
#            the graph the input is multiplied by the recurrent weights, and these neurons get 0.
#            RLIF and RCuBaLIF are written so, too. from_nir of spyx reads the edges as if they
#            said what the layer does, so that a round trip through spyx does not show it.
# For users  Another tool that reads the file as it stands runs another network: here one without any
#            spike, with other weights one whose input is mixed between neurons. Before passing such
#            a file on, replace the edge input -> w_rec by input -> lif.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3.11}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet \
  spyx==1.0.0 jax==0.10.2 flax==0.12.8 nir==1.0.8 numpy==2.3.5
cat > "$work/model.py" <<'MODEL'
import os
import sys

os.environ["JAX_PLATFORMS"] = "cpu"
import jax.numpy as jnp
import nir
import numpy as np
from flax import nnx
from spyx.nir import from_nir, to_nir
from spyx.nn import RCuBaLIF, RIF, RLIF, Sequential, run

steps = jnp.tile(jnp.array([0.5, 0.25]), (12, 1, 1))  # steps, batch, neurons


def spikes(net):
    found = np.asarray(run(net, steps)[0])[:, 0]
    return " ".join("".join("|" if fired else "." for fired in train) for train in found.T)


for kind in (RIF, RLIF, RCuBaLIF):
    layer = kind((2,), rngs=nnx.Rngs(0))
    layer.recurrent_w[...] = jnp.zeros((2, 2))
    net = Sequential(layer)
    sizes = {"input": np.array([2])}, {"output": np.array([2])}
    nir.write(sys.argv[1], to_nir(net, *sizes, dt=1))
    graph = nir.read(sys.argv[1]).nodes["layer_0"]
    edges = sorted((a.split(".")[-1], b.split(".")[-1]) for a, b in graph.edges)
    print(kind.__name__, *(f"{a}->{b}" for a, b in edges))
    if kind is RIF:
        (weight,) = (node.weight for node in graph.nodes.values() if hasattr(node, "weight"))
        print("  spyx", spikes(net))
        print("  spyx, read back", spikes(from_nir(nir.read(sys.argv[1]), steps, dt=1)[0]))
        print("  by the file the neurons get", *(f"{x:.2f}" for x in weight @ [0.5, 0.25]))
MODEL
"$work/venv/bin/python" "$work/model.py" "$work/net.nir" 2> /dev/null | tee "$work/seen"
diff - "$work/seen" << 'SEEN'
RIF input->w_rec lif->output lif->w_rec w_rec->lif
  spyx ...|.|.|.|.| .....|...|..
  spyx, read back ...|.|.|.|.| .....|...|..
  by the file the neurons get 0.00 0.00
RLIF input->w_rec lif->output lif->w_rec w_rec->lif
RCuBaLIF input->w_rec lif->output lif->w_rec w_rec->lif
SEEN
