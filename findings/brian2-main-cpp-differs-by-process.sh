#!/usr/bin/env bash
# Brian2 writes another main.cpp in each process for the same model.
#
# Version    brian2 2.9.0 (Python 3.11, numpy 2.3.5)
# Behaviour  At the start of a run the generated main.cpp sets every clock back. The clocks stand in
#            a Python set, whose order depends on the process (hash seeds, addresses), and so does
#            the order of these lines. With four clocks, eight processes wrote up to eight different
#            files; sorted line by line they are the same file.
# For users  A build keyed by the generated sources is never found again, and make compiles
#            main.cpp anew in each session though nothing changed. Sorting all lines to compare is
#            no way out: then a real change of the order of operations passes for no change.
#            Put just the lines that reset clocks into a fixed order before comparing.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3.11}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet brian2==2.9.0 numpy==2.3.5 pyparsing==3.2.5 setuptools==80.9.0
cat > "$work/model.py" <<'MODEL'
import hashlib
import sys
from pathlib import Path

from brian2 import Clock, Network, NeuronGroup, device, ms, prefs, set_device

prefs.logging.file_log = False
set_device("cpp_standalone", build_on_run=False)
groups = []
for length in (1, 2, 4, 8):
    clock = Clock(length * ms, name=f"clock{length}")
    group = NeuronGroup(2, "x : 1", clock=clock, name=f"group{length}")
    group.run_regularly("x += 1", clock=clock, name=f"add{length}")
    groups.append(group)
Network(*groups).run(16 * ms)
device.build(directory=sys.argv[1], run=False, compile=False)
text = (Path(sys.argv[1]) / "main.cpp").read_text()
lines = "\n".join(sorted(text.splitlines()))
print(*(hashlib.sha256(x.encode()).hexdigest()[:12] for x in (text, lines)))
MODEL
for seed in 0 1 2 3 4 5 6 7; do
  PYTHONHASHSEED=$seed "$work/venv/bin/python" "$work/model.py" "$work/out$seed" 2> /dev/null
done > "$work/digests"
files=$(cut -d' ' -f1 "$work/digests" | sort -u | wc -l)
sorted=$(cut -d' ' -f2 "$work/digests" | sort -u | wc -l)
echo "different main.cpp from 8 processes: $files; after sorting their lines: $sorted"
[ "$files" -gt 1 ] && [ "$sorted" -eq 1 ]
