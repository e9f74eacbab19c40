"""What a reader must be told of a file: what its tool was told, and the file does not hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ann2brian.models.schemes.nir.dialects import dialect_of
from ann2brian.models.schemes.nir.options import NirOptions

DEFINITION = "definition"
MEANT = "as its tool means it"
# What no option gives back, as the writers call it.
GONE = {"bias": "bias", "w_rec": "recurrent weights", "tau_syn": "tau_syn"}
MOST_SPIKES = 32  # of a neuron in a step, of tools where it may have several


def told(about: Mapping[str, Any], n_steps: int) -> NirOptions:
    """Options with which the file runs as its tool ran it."""
    tool, given = about["tool"], about["parameters"]
    options: dict[str, Any] = {"written_by": DEFINITION if tool == "nirtorch" else tool}
    if tool == "snntorch":
        at_once = "-at-once" if given.get("reset_delay") is False else ""
        options["reset"] = given.get("reset_mechanism", "subtract") + at_once
    elif tool == "norse":
        options["dt_ms"] = 1e3 * given["dt"]
        if given.get("reset_method") == "subtract":
            options["reset"] = "subtract"
        elif "v_reset" in given:
            options["v_reset"] = given["v_reset"]
    elif tool == "sinabs":
        options["is_single_spike"] = given.get("spike_fn") == "SingleSpike"
        options["is_floored"] = "min_v_mem" in given
        options["norm_input"] = {True: "yes", False: "no"}.get(given.get("norm_input"))
        if given.get("reset_fn") == "MembraneReset":
            options["reset"] = "zero"
    elif tool == "rockpool":
        options["is_single_spike"] = given.get("max_spikes_per_dt") == 1
    elif tool == "nirtorch" or given["module"] == "LIFNode":
        options["dt_ms"] = 1e3 * given["dt"]
    # Of others the step stands in the fields.
    return NirOptions(n_steps=n_steps, limit=MOST_SPIKES, **options)


def untold(about: Mapping[str, Any], n_steps: int) -> NirOptions:
    """Options of a reader that follows the definition of the format; of all it knows the step."""
    dt = about["parameters"].get("dt") or dialect_of(about["tool"]).dt
    return NirOptions(n_steps=n_steps, limit=MOST_SPIKES, written_by=DEFINITION, dt_ms=1e3 * dt)


def convention(options: NirOptions) -> str:
    """How neurons that spiked go on, in words, with all that was told."""
    said = [str(options.reset)]
    if options.v_reset is not None:
        said.append(f"to {options.v_reset:g}")
    if options.is_floored:
        said.append("floored")
    if options.is_single_spike:
        said.append("single spike")
    if options.norm_input is not None:
        said.append("normed" if options.norm_input == "yes" else "not normed")
    return ", ".join(said)


def gone(about: Mapping[str, Any]) -> str:
    """What the tool had, the file has lost, and no option gives back."""
    return ", ".join(name for key, name in GONE.items() if key in about["lost"])
