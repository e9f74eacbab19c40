#!/usr/bin/env bash
# In Brian2, v = u makes v another name of u with NumPy: a later v += x changes u, too, or u += x v.
#
# Version    brian2 2.9.0 (Python 3.11, numpy 2.3.5), 2.10.1 (3.12, numpy 2.5.5) and 2.11.0 (3.13)
# Behaviour  Statements of run_regularly that set v to u and then change v, as 'v = u' and 'v += 10'
#            do, leave u as it was on the Cython target. On the NumPy target u gets 10 as well,
#            without a word. It makes no difference to write v = v + 10, which Brian2 turns into
#            v += 10, or v = 1*u or v = u + 0, which it turns into v = u; a subexpression that says
#            u, and a variable that the code alone knows, are other names, too. Even the index can
#            be changed: after 'n = i' and 'n += 10', i is 10, 11, 12 for the rest of the run. In
#            resets (and on_pre) the neurons' values are copies, so that 'v = u', 'v += 10' is
#            right; but 'v = u', 'u += 10' is wrong there, as well: v gets 10. -(-u) is a copy.
# For users  The NumPy target is the one to check others against, and it is the wrong one here: a
#            model that keeps an old value ('before = v', then 'v -= leak') does not. Set a variable
#            in one expression ('v = u + 10'), or write v = -(-u) where a copy is meant.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/model.py" <<'MODEL'
import sys

import brian2
from brian2 import Network, NeuronGroup, defaultclock, prefs

prefs.codegen.target = sys.argv[1]
prefs.logging.file_log = False
for where, code in (
    ("regularly", "v = u; v += 10"),
    ("regularly", "v = u; v = v + 10"),
    ("regularly", "v = u + 0; v += 10"),
    ("regularly", "v = said; v += 10"),
    ("regularly", "local = u; local += 10; v = local"),
    ("regularly", "v = u; u += 10"),
    ("regularly", "v = -(-u); v += 10"),
    ("regularly", "n = i; n += 10"),
    ("reset", "v = u; v += 10"),
    ("reset", "v = u; u += 10"),
):
    spikes = {"threshold": "True", "reset": code} if where == "reset" else {}
    group = NeuronGroup(3, "u : 1\nv : 1\nn : integer\nsaid = u : 1", namespace={}, **spikes)
    group.u, group.v = [1, 2, 3], [4, 5, 6]
    if where == "regularly":
        group.run_regularly(code)
    Network(group).run(defaultclock.dt)
    values = (f"{name} {' '.join(f'{x:.0f}' for x in getattr(group, name)[:])}" for name in "uvi")
    print(f"{sys.argv[1]:<6} | {where:<9} | {code:<33}", *values, sep=" | ")
MODEL
cat > "$work/seen" << 'SEEN'
numpy  | regularly | v = u; v += 10                    | u 11 12 13 | v 11 12 13 | i 0 1 2
numpy  | regularly | v = u; v = v + 10                 | u 11 12 13 | v 11 12 13 | i 0 1 2
numpy  | regularly | v = u + 0; v += 10                | u 11 12 13 | v 11 12 13 | i 0 1 2
numpy  | regularly | v = said; v += 10                 | u 11 12 13 | v 11 12 13 | i 0 1 2
numpy  | regularly | local = u; local += 10; v = local | u 11 12 13 | v 11 12 13 | i 0 1 2
numpy  | regularly | v = u; u += 10                    | u 11 12 13 | v 11 12 13 | i 0 1 2
numpy  | regularly | v = -(-u); v += 10                | u 1 2 3 | v 11 12 13 | i 0 1 2
numpy  | regularly | n = i; n += 10                    | u 1 2 3 | v 4 5 6 | i 10 11 12
numpy  | reset     | v = u; v += 10                    | u 1 2 3 | v 11 12 13 | i 0 1 2
numpy  | reset     | v = u; u += 10                    | u 11 12 13 | v 11 12 13 | i 0 1 2
cython | regularly | v = u; v += 10                    | u 1 2 3 | v 11 12 13 | i 0 1 2
cython | regularly | v = u; v = v + 10                 | u 1 2 3 | v 11 12 13 | i 0 1 2
cython | regularly | v = u + 0; v += 10                | u 1 2 3 | v 11 12 13 | i 0 1 2
cython | regularly | v = said; v += 10                 | u 1 2 3 | v 11 12 13 | i 0 1 2
cython | regularly | local = u; local += 10; v = local | u 1 2 3 | v 11 12 13 | i 0 1 2
cython | regularly | v = u; u += 10                    | u 11 12 13 | v 1 2 3 | i 0 1 2
cython | regularly | v = -(-u); v += 10                | u 1 2 3 | v 11 12 13 | i 0 1 2
cython | regularly | n = i; n += 10                    | u 1 2 3 | v 4 5 6 | i 0 1 2
cython | reset     | v = u; v += 10                    | u 1 2 3 | v 11 12 13 | i 0 1 2
cython | reset     | v = u; u += 10                    | u 11 12 13 | v 1 2 3 | i 0 1 2
SEEN
while read -r python release; do
  "$python" -m venv "$work/$python"
  # shellcheck disable=SC2086
  "$work/$python/bin/pip" install --quiet $release setuptools==80.9.0
  for target in numpy cython; do
    "$work/$python/bin/python" "$work/model.py" "$target" 2> /dev/null
  done > "$work/$python.seen"
  echo "$release:"
  cat "$work/$python.seen"
  diff "$work/seen" "$work/$python.seen"
done << 'RELEASES'
python3.11 brian2==2.9.0 numpy==2.3.5 cython==3.1.3 pyparsing==3.2.5
python3.12 brian2==2.10.1 numpy==2.5.5 cython==3.1.3 pyparsing==3.2.5
python3.13 brian2==2.11.0 numpy==2.5.5 cython==3.3.1 pyparsing==3.3.3
RELEASES
