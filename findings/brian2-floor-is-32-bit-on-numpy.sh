#!/usr/bin/env bash
# In Brian2, floor, ceil and int of more than 2**31 are right when compiled and wrong with NumPy.
#
# Version    brian2 2.9.0 (Python 3.11, numpy 2.3.5)
# Behaviour  x = 3e9: floor(x), ceil(x) and int(x), written to a dimensionless (floating-point)
#            variable, give 3e9 on the Cython target and -2147483648 on the NumPy target, without a
#            warning: there these functions return 32-bit integers, floor and ceil included.
# For users  The NumPy target is the one to check others against, and it is the wrong one here.
#            floor(t/us) leaves the range after 36 minutes of biological time; a count kept as a
#            float, or a phase computed from a large quotient, turns negative. Keep quotients under
#            2**31, or use x - x % 1 in place of floor(x).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3.11}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet brian2==2.9.0 numpy==2.3.5 pyparsing==3.2.5 setuptools==80.9.0
cat > "$work/model.py" <<'MODEL'
import sys

from brian2 import Network, NeuronGroup, defaultclock, prefs

prefs.codegen.target = sys.argv[1]
prefs.logging.file_log = False
group = NeuronGroup(2, "x : 1\nfloored : 1\nraised : 1\nwhole : 1\nleft : 1", namespace={})
group.x = [2e9, 3e9]
group.run_regularly("floored = floor(x)\nraised = ceil(x)\nwhole = int(x)\nleft = x - x % 1")
Network(group).run(defaultclock.dt)
for name in ("floored", "raised", "whole", "left"):
    print(name, *(f"{value:.0f}" for value in getattr(group, name)[:]))
MODEL
for target in numpy cython; do
  "$work/venv/bin/python" "$work/model.py" "$target" 2> /dev/null > "$work/$target"
  echo "$target: $(tr '\n' ';' < "$work/$target")"
done
diff - "$work/numpy" << 'SEEN'
floored 2000000000 -2147483648
raised 2000000000 -2147483648
whole 2000000000 -2147483648
left 2000000000 3000000000
SEEN
diff - "$work/cython" << 'SEEN'
floored 2000000000 3000000000
raised 2000000000 3000000000
whole 2000000000 3000000000
left 2000000000 3000000000
SEEN
