#!/usr/bin/env bash
# In Brian2, a sum with a term that is zero of a unit is refused as an unknown identifier.
#
# Version    brian2 2.9.0 (Python 3.11, numpy 2.3.5); the same on 2.11.0, numpy and cython targets
# Behaviour  `v = 0*volt` and `v = v + x*(1*volt)` run. `v = v + 0*volt` and `v = v + x*(0*volt)`,
#            whose units agree as well, end with KeyError 'Unknown identifier volt', or of the
#            model's own variable x: expressions are simplified, the zero and all that it multiplies
#            vanish, and the names are looked for in what is left.
# For users  The message names a unit or a variable that is there, and not the zero. Statements that
#            a program puts together (a reset to `0*volt` as one term of a sum, say) meet it. Leave
#            the term out, or give the zero as a constant of the namespace.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3.11}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet brian2==2.9.0 numpy==2.3.5 pyparsing==3.2.5 setuptools==80.9.0

cat > "$work/zero.py" <<'PY'
from brian2 import Network, NeuronGroup, ms, prefs, volt

prefs.codegen.target = "numpy"


def outcome(statement):
    group = NeuronGroup(1, "v : volt\nx : 1", namespace={"nothing": 0 * volt}, name="g*")
    group.v, group.x = 1 * volt, 1
    group.run_regularly(statement)
    try:
        Network(group).run(0.1 * ms, namespace={})
    except Exception as error:
        while error.__cause__ is not None:
            error = error.__cause__
        return repr(error)
    return f"{float(group.v[0] / volt):g} V"


for statement in (
    "v = 0*volt",
    "v = v + x*(1*volt)",
    "v = v + nothing",
    "v = v + 0*volt",
    "v = v + x*(0*volt)",
):
    print(f"{statement}: {outcome(statement)}")
PY

found=$("$work/venv/bin/python" "$work/zero.py" 2>/dev/null)
echo "$found"
expected="v = 0*volt: 0 V
v = v + x*(1*volt): 2 V
v = v + nothing: 1 V
v = v + 0*volt: KeyError('Unknown identifier volt')
v = v + x*(0*volt): KeyError('Unknown identifier x')"
if [ "$found" != "$expected" ]; then
    echo "CHANGED: brian2 2.9.0 behaves otherwise than written down here" >&2
    exit 1
fi
