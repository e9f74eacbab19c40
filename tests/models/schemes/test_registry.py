"""The registry of the schemes: dispatch by the type of the options, and what it refuses."""

import numpy as np
import pytest
from ann2brian.models import schemes
from ann2brian.models.conversion.options import Options
from ann2brian.models.conversion.scheme import Conversion

from tests.support.networks import everything, images_for


def test_options_of_no_scheme_are_refused():
    """Options of another type, and none, against the types there are."""
    for options in (Options(), None, {"n_steps": 3}):
        with pytest.raises(TypeError, match="AmosOptions, BurstOptions, NoiseOptions, Albsnn"):
            schemes.convert(everything(), options)


def test_reference_takes_a_conversion():
    """The spiking network alone, and a conversion by no scheme."""
    network = everything()
    images = images_for(network, 2)
    conversion = schemes.convert(network, schemes.SCHEMES["burst"].options(), images)
    assert isinstance(conversion, Conversion)
    assert conversion.spiking.scheme == "burst"
    with pytest.raises(TypeError, match="takes what convert returned"):
        schemes.reference(conversion.spiking, images)
    with pytest.raises(TypeError, match="one of AmosOptions"):
        schemes.reference(Conversion(spiking=conversion.spiking, options=None), images)
    assert np.isfinite(schemes.reference(conversion, images).scores).all()


def test_every_scheme_says_itself_what_it_is():
    """Names, options and papers are different; names are those of spiking networks."""
    for name, scheme in schemes.SCHEMES.items():
        assert scheme.name == name
        assert issubclass(scheme.options, Options)
    for what in ("title", "paper", "options"):
        values = [getattr(scheme, what) for scheme in schemes.SCHEMES.values()]
        assert len(set(values)) == len(values)
