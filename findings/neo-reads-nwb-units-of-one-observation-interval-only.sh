#!/usr/bin/env bash
# Neo: NWBIO reads units of an NWB file only if each has exactly one observation interval.
#
# Version    neo 0.14.6 with pynwb 4.2.0 (Python 3.11, numpy 2.3.5)
# Behaviour  NWB says of a unit when its spikes are and, if one likes, in which intervals it was
#            observed. Three files, each of one unit with three spikes, have no, one and two such
#            intervals; pynwb writes, validates and reads all three. neo.io.NWBIO reads the one in the
#            middle. Without intervals it ends with KeyError: 'obs_intervals', which names neither
#            file nor unit; with two, NotImplementedError.
# For users  Files of spike sorters and archives often leave the intervals out, and recordings with a
#            pause have two: neither reaches Neo or Elephant. Read them with pynwb and make
#            neo.SpikeTrain objects of units.spike_times; who writes NWB for users of Neo gives each
#            unit one interval, obs_intervals=[[start, stop]].
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3.11}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet neo==0.14.6 pynwb==4.2.0 hdmf==6.2.0 h5py==3.16.0 numpy==2.3.5
cat > "$work/model.py" <<'MODEL'
import sys
from datetime import UTC, datetime

import pynwb
from neo.io import NWBIO

for n in range(3):
    path = f"{sys.argv[1]}/{n}.nwb"
    session = pynwb.NWBFile("windows", "session", datetime(2026, 1, 1, tzinfo=UTC))
    windows = [[0.0, 10.0], [20.0, 30.0]][:n]
    session.add_unit(spike_times=[1.0, 2.0, 3.0], **({"obs_intervals": windows} if n else {}))
    with pynwb.NWBHDF5IO(path, "w") as file:
        file.write(session)
    errors = pynwb.validate(path=path)
    with pynwb.NWBHDF5IO(path, "r") as file:
        times = file.read().units["spike_times"][0]
    print(f"{n} intervals: validation finds {len(errors)}, pynwb reads {len(times)} spikes, neo", end=" ")
    try:
        (block,) = NWBIO(path, mode="r").read_all_blocks()
        (train,) = block.segments[0].spiketrains
        print("reads", len(train))
    except Exception as error:
        print(f"{type(error).__name__}({error})")
MODEL
"$work/venv/bin/python" "$work/model.py" "$work" 2> /dev/null | tee "$work/seen"
diff - "$work/seen" << 'SEEN'
0 intervals: validation finds 0, pynwb reads 3 spikes, neo KeyError('obs_intervals')
1 intervals: validation finds 0, pynwb reads 3 spikes, neo reads 3
2 intervals: validation finds 0, pynwb reads 3 spikes, neo NotImplementedError(Can't yet handle multiple observation intervals)
SEEN
