"""Neuron types: the equations that a user can change."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

Edit = Mapping[str, str] | str


@dataclass(frozen=True, kw_only=True, repr=False)
class NeuronType:
    """Equations of one type of neuron, as Brian2 reads them.

    Parameters
    ----------
    name : str
        Name of the type and of its Brian2 group.
    equations : str
        Brian2 equations with units, one variable a line.
    every_phase : str
        Statements run for every neuron at the start of each phase, before integration.
    every_step : str
        Statements run at the start of each step, after those of the phase.
    threshold, reset : str
        Brian2 threshold condition and reset statements.
    afferents : tuple of str
        Variables to which the spikes that arrive are added. Several for a neuron that keeps the
        inputs of its window apart, in the order of the window's rows and columns, or those of
        projections with gains of their own.
    is_chain : bool
        Units are chains of neurons: the drive moves on from neuron to neuron, one a step, and
        earlier neurons inhibit later ones.
    constants : mapping of str to brian2.Quantity or brian2.Function
        Values of the names in the strings that are neither variables nor units.
    method : str
        Brian2 integration method of the differential equations, if there are any.
    sums : tuple of str
        Variables that hold nothing but what spikes bring in one phase, or counts of spikes: single
        precision is enough for them where it is exact. An edited type has none.
    must_be_zero : mapping of str to str
        Variables that must be 0 after a run, and what it means where one is not; the run then ends
        with an error.

    Notes
    -----
    The engine needs the variables of `afferents` (volt), ``v`` (volt), ``age`` (integer: phases
    since the present image reached the neuron, -1 for none), ``inhibition`` (volt) for chains,
    and one variable for each entry of :attr:`Population.parameters`; the rest is free. It sets,
    where a type has them, ``image`` (integer: number of the image that the neuron works on),
    ``neuron`` (integer, constant: its number among those of the network) and ``seed`` (integer,
    shared: from the seed of the run), of which random numbers can be made. Neurons
    that multiply what spikes bring call the factor ``gain`` (dimensionless parameter;
    ``gain2``, ... of further afferent variables), so that the exactness of their sums can be
    judged. To change the biology, put an edited type in the place of the old one:
    ``network.with_neurons(kind.edited(...))``.
    """

    name: str
    equations: str
    threshold: str
    reset: str
    every_phase: str = ""
    every_step: str = ""
    afferents: tuple[str, ...] = ("drive",)
    is_chain: bool = False
    constants: Mapping[str, object] = field(default_factory=dict)
    method: str = "exact"
    sums: tuple[str, ...] = ()
    must_be_zero: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        code = " ".join(_without_comments(self.threshold).split())
        return f"NeuronType({self.name}: spikes where {code})"

    def edited(
        self,
        *,
        equations: Edit | None = None,
        threshold: Edit | None = None,
        reset: Edit | None = None,
        every_phase: Edit | None = None,
        every_step: Edit | None = None,
        constants: Mapping[str, object] | None = None,
        method: str | None = None,
    ) -> NeuronType:
        """Return the type with other equations; refuses an edit that finds nothing to change.

        Parameters
        ----------
        equations, threshold, reset, every_phase, every_step : str or mapping of str to str
            What takes the place of the whole text; or old pieces and what takes their place. A
            piece has to stand there exactly once, outside of comments and in whole words; spaces
            and line breaks in it do not matter.
        constants : mapping of str to brian2.Quantity
            Added, or in place of those of the same name.
        method : str
            Integration method.

        Returns
        -------
        NeuronType

        Raises
        ------
        ValueError
            If a piece is missing or stands there twice, or if no equation or statement uses a
            constant; the message lists the lines there are.
        TypeError
            If what is to change is neither text nor a mapping of texts.

        Examples
        --------
        A leaky membrane in place of a perfect one:

        >>> AMOS_NEURON.edited(
        ...     equations={"v : volt": "dv/dt = -v/tau_m : volt"}, constants={"tau_m": 20 * ms}
        ... )
        NeuronType(amos: spikes where v > theta and age == 0)
        """
        edits = {
            "equations": equations,
            "threshold": threshold,
            "reset": reset,
            "every_phase": every_phase,
            "every_step": every_step,
        }
        for name, edit in edits.items():
            pieces = [*edit, *edit.values()] if isinstance(edit, Mapping) else [edit]
            if edit is not None and not all(isinstance(piece, str) for piece in pieces):
                raise TypeError(
                    f"neuron type {self.name!r}: {name} takes a text, or old pieces and new ones "
                    'as {"old": "new"}'
                )
        texts = {
            name: edit if isinstance(edit, str) else self._replaced(name, edit)
            for name, edit in edits.items()
            if edit is not None
        }
        changed = replace(
            self,
            **texts,  # type: ignore[arg-type]
            constants={**self.constants, **(constants or {})},
            method=self.method if method is None else method,
            sums=(),
        )
        used = "\n".join(_without_comments(getattr(changed, name)) for name in edits)
        for name in constants or ():
            if not re.search(rf"\b{re.escape(name)}\b", used):
                raise ValueError(
                    f"neuron type {self.name!r}: no equation or statement uses the constant "
                    f"{name!r}; there are\n{_listed(used)}"
                )
        return changed

    def _replaced(self, name: str, edit: Mapping[str, str]) -> str:
        """One of the texts with old pieces replaced by new ones."""
        text = getattr(self, name)
        for old, new in edit.items():
            code = _without_comments(text)
            places = list(_piece(old).finditer(code)) if old.strip() else []
            if len(places) != 1:
                found = f"{old!r} stands {len(places)} times" if places else f"no {old!r}"
                raise ValueError(
                    f"neuron type {self.name!r}: {found} in {name}, where one is to be replaced; "
                    f"its lines are\n{_listed(code) or '  (none)'}"
                )
            (place,) = places
            text = text[: place.start()] + new + text[place.end() :]
        return text


def _piece(text: str) -> re.Pattern[str]:
    """Pattern of a piece of code, for any spaces in it, between borders of words."""
    pattern = r"\s*".join(map(re.escape, "".join(text.split())))
    before, after = (re.match(r"\w", text.strip()[i]) for i in (0, -1))
    return re.compile(("(?<!\\w)" if before else "") + pattern + ("(?!\\w)" if after else ""))


def _without_comments(text: str) -> str:
    """The text with spaces in place of comments, of the same length."""
    return re.sub("#[^\n]*", lambda comment: " " * len(comment.group()), text)


def _listed(code: str) -> str:
    lines = (" ".join(line.split()) for line in code.splitlines())
    return "\n".join(f"  {line}" for line in lines if line)
