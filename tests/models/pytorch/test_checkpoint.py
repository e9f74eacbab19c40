"""Files of torch.save: weights are read, anything else is refused and never run."""

import io
import pickle
import re
import zipfile

import numpy as np
import pytest

from tests.support.with_torch import torch_or_skip

torch = torch_or_skip()
from ann2brian.models.pytorch.checkpoint import load_weights, read_state_dict
from torch import nn


def module(n=3):
    return nn.Sequential(nn.Linear(4, n), nn.BatchNorm1d(n))


def saved(thing, tmp_path, **options):
    path = tmp_path / "net.pt"
    torch.save(thing, path, **options)
    return path


@pytest.mark.parametrize("key", [None, "state_dict", "model_state_dict", "model", "net"])
@pytest.mark.parametrize("is_parallel", [False, True])
@pytest.mark.parametrize("is_zip", [False, True])
def test_weights_are_loaded(tmp_path, key, is_parallel, is_zip):
    """State dicts alone and among other things, from DataParallel and not, old format and new."""
    source = module()
    state = (nn.DataParallel(source) if is_parallel else source).state_dict()
    thing = state if key is None else {"epoch": 3, key: state, "loss": [0.5]}
    path = saved(thing, tmp_path, _use_new_zipfile_serialization=is_zip)
    for target in (module(), nn.DataParallel(module())):
        load_weights(target, path)
        inner = target.module if isinstance(target, nn.DataParallel) else target
        for name, tensor in source.state_dict().items():
            assert torch.equal(inner.state_dict()[name], tensor)


class Trap:
    """Pickled, it runs code when it is read."""

    def __reduce__(self):
        return pytest.fail, ("code was run",)


def test_a_pickled_module_is_refused(tmp_path):
    """A whole module, and an object that would run code, against the message with the remedy."""
    for thing in (module(), {"state_dict": module().state_dict(), "trap": Trap()}):
        path = saved(thing, tmp_path)
        with pytest.raises(ValueError, match=r"net\.pt: holds more than weights.*state_dict\(\)"):
            read_state_dict(path)
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match=r"net\.pt: "):
        read_state_dict(path)


def test_what_else_a_file_holds_is_named(tmp_path):
    """Of torch's page of advice, with colours for a terminal, the name only."""
    with pytest.raises(ValueError) as error:
        read_state_dict(saved({"trap": Trap()}, tmp_path))
    assert re.search(r"belongs to \(it names _pytest\.outcomes\.\w+\)$", str(error.value))


def test_other_archives_are_refused(tmp_path):
    """Compressed archives, which could grow, and those of other exports."""
    path = saved(module().state_dict(), tmp_path)
    packed = tmp_path / "packed.pt"
    with zipfile.ZipFile(path) as own, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as other:
        for name in own.namelist():
            other.writestr(name, own.read(name))
    with pytest.raises(ValueError, match=r"packed\.pt: is compressed"):
        read_state_dict(packed)
    for name, message in (("x/code/net.py", "TorchScript"), ("x/archive_format", "torch.export")):
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, "")
        with pytest.raises(ValueError, match=message):
            read_state_dict(path)
        path = saved(module().state_dict(), tmp_path)


@pytest.mark.parametrize("keep", [0, 10, 300, 900])
def test_a_truncated_file_is_refused(tmp_path, keep):
    """The beginning of a file against one line that names it."""
    path = saved(module().state_dict(), tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"net\.pt: ") as caught:
        read_state_dict(path)
    assert "\n" not in str(caught.value)


def test_what_is_no_state_dict(tmp_path):
    """Tensors, lists and plain dicts against the message; a file that is missing."""
    for thing in (torch.zeros(3), [1, 2], {"epoch": 3}, {}):
        with pytest.raises(ValueError, match=r"net\.pt: holds no state dict"):
            read_state_dict(saved(thing, tmp_path))
    with pytest.raises(ValueError, match=r"absent\.pt: there is no such file"):
        read_state_dict(tmp_path / "absent.pt")


def test_weights_of_another_module_are_refused(tmp_path):
    """Names and shapes that do not fit against one line with file and parameter."""
    path = saved(module(5).state_dict(), tmp_path)
    with pytest.raises(ValueError, match=r"net\.pt: .*0\.weight") as caught:
        load_weights(module(), path)
    assert "\n" not in str(caught.value)


def test_names_of_a_compiled_module(tmp_path):
    """Wrapped by torch.compile inside of DataParallel, and the other way round."""
    state = module().state_dict()
    for prefix in ("_orig_mod.", "module._orig_mod.", "_orig_mod.module."):
        path = saved({prefix + name: tensor for name, tensor in state.items()}, tmp_path)
        assert list(read_state_dict(path)) == list(state)


@pytest.mark.parametrize("kind", [torch.int8, torch.complex64])
def test_numbers_of_another_kind_are_refused(tmp_path, kind):
    """Weights after a quantisation, which PyTorch would take as they are."""
    state = module().state_dict()
    path = saved(state | {"0.weight": (10 * state["0.weight"]).to(kind)}, tmp_path)
    with pytest.raises(ValueError, match=rf"net\.pt: 0\.weight holds {kind}, not real numbers"):
        load_weights(module(), path)


def test_a_file_of_another_format(tmp_path):
    """Against the message that says who reads it."""
    content = io.BytesIO()
    np.savez(content, a=np.zeros(3))
    (tmp_path / "net.pt").write_bytes(content.getvalue())
    with pytest.raises(ValueError, match=r"net\.pt: holds arrays and no structure"):
        read_state_dict(tmp_path / "net.pt")


def test_archives_of_unknown_kinds(tmp_path):
    """An entry that asks for a newer version of the format."""
    content = bytearray(saved(module().state_dict(), tmp_path).read_bytes())
    content[content.index(b"PK\x01\x02") + 6] = 110
    (tmp_path / "net.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"net\.pt: is damaged"):
        read_state_dict(tmp_path / "net.pt")
