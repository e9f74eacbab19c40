#!/usr/bin/env bash
# In Brian2, a subexpression read twice in one block can keep its old value, on every target.
#
# Version    brian2 2.9.0 (Python 3.11, numpy 2.3.5), 2.10.1 (3.12, numpy 2.5.5) and 2.11.0 (3.13)
# Behaviour  In the statements of a run_regularly or a reset, a subexpression is to be
#            computed anew when a variable that it rests on has changed. With 'y = 2*u : 1' it is
#            after 'w = y', 'u = 10*u'. It is not if one line reads it and changes the variable, as
#            'u = 3*y' does: 'w = y' then gives 2, while u is 6 and y, asked after the block, 12.
#            Nor is it if it rests on the variable by way of another subexpression: with
#            'z = 2*y : 1', the lines 'w = z', 'u = 10*u', 'w = z' leave w = 4, with z = 40.
# For users  Rates, thresholds or drives that are read as a subexpression after the potential was
#            set in the same block are those of before, and all targets agree on it. Write the
#            expression itself in the later line, or put that line in a block of its own.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/model.py" <<'MODEL'
import sys

from brian2 import Network, NeuronGroup, defaultclock, prefs

prefs.codegen.target = sys.argv[1]
prefs.logging.file_log = False
for code in (
    "w = y; u = 10*u; w = y",
    "u = 3*y; w = y",
    "u = 3*y; w = 2*u",
    "w = z; u = 10*u; w = z",
    "w = z; u = 10*u; w = 2*y",
):
    group = NeuronGroup(1, "u : 1\nw : 1\ny = 2*u : 1\nz = 2*y : 1", namespace={})
    group.u = 1
    group.run_regularly(code)
    Network(group).run(defaultclock.dt)
    values = (f"{name} {getattr(group, name)[0]:.0f}" for name in "uwyz")
    print(f"{sys.argv[1]:<6} | {code:<24}", *values, sep=" | ")
MODEL
cat > "$work/seen" << 'SEEN'
numpy  | w = y; u = 10*u; w = y   | u 10 | w 20 | y 20 | z 40
numpy  | u = 3*y; w = y           | u 6 | w 2 | y 12 | z 24
numpy  | u = 3*y; w = 2*u         | u 6 | w 12 | y 12 | z 24
numpy  | w = z; u = 10*u; w = z   | u 10 | w 4 | y 20 | z 40
numpy  | w = z; u = 10*u; w = 2*y | u 10 | w 40 | y 20 | z 40
cython | w = y; u = 10*u; w = y   | u 10 | w 20 | y 20 | z 40
cython | u = 3*y; w = y           | u 6 | w 2 | y 12 | z 24
cython | u = 3*y; w = 2*u         | u 6 | w 12 | y 12 | z 24
cython | w = z; u = 10*u; w = z   | u 10 | w 4 | y 20 | z 40
cython | w = z; u = 10*u; w = 2*y | u 10 | w 40 | y 20 | z 40
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
