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


def test_reference_refuses_images_that_the_network_cannot_see():
    """The same images as a simulation refuses: their shape, their values, none at all."""
    network = everything()
    images = images_for(network, 2)
    for scheme in ("burst", "amos"):
        try:
            conversion = schemes.convert(network, schemes.SCHEMES[scheme].options(), images)
        except ValueError:
            continue
        for wrong, said in (
            (images[0], "must have shape"),
            (images[:0], "must have shape"),
            (images.swapaxes(1, 3), "must have shape"),
            ("x", "must have shape"),
            (images + 0.5, "image 0 holds"),
            (images * np.nan, "image 0 holds"),
            (images + 1000, "image 0 holds"),
        ):
            with pytest.raises(ValueError, match=said):
                schemes.reference(conversion, wrong)


def test_convert_takes_a_network_first():
    """A name, a conversion, and arguments in another order: one line that says what is wanted."""
    options = schemes.SCHEMES["burst"].options()
    images = images_for(everything(), 2)
    for wrong in ("digits-burst", schemes.convert(everything(), options, images)):
        with pytest.raises(TypeError, match="convert takes a trained network first"):
            schemes.convert(wrong, options, images)
    with pytest.raises(TypeError, match=r"got a ndarray$"):
        schemes.convert(everything(), images, options)
