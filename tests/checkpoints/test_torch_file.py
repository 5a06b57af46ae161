"""Files of `torch.save`: read as torch.load reads them, and nothing in them runs."""

import pickle
import random
from collections import OrderedDict
from contextlib import suppress

import numpy as np
import pytest
import torch
from contracts import hostile_files as hostile

from nnunet_pancext.checkpoints.pickled import UnsafeFile
from nnunet_pancext.checkpoints.torch_file import DTYPES, read_torch_file


def genuine():
    """What nnU-Net's checkpoints hold: a network, its optimizer, NumPy numbers, a device."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.PReLU())
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.99, nesterov=True)
    network(torch.rand(2, 1, 8, 8)).sum().backward()
    optimizer.step()
    return {
        "network_weights": network.state_dict(),
        "optimizer_state": optimizer.state_dict(),
        "grad_scaler_state": torch.amp.GradScaler("cpu").state_dict(),
        "logging": {
            "dice": [np.float64(0.5), float("nan"), np.float32(0.25)],
            "per_class": [[np.float32(1)]],
        },
        "_best_ema": np.float64(0.75),
        "numbers": [np.int64(-3), np.uint8(7), np.float16(0.5), np.bool_(True), 2**70, -(2**40), 0, 1.5],
        "init_args": {"device": torch.device("cuda", 0), "fold": 0, "unpack": True, "nothing": None},
        "axes": (0, 1),
    }


def same(left, right):
    """Whether two values are equal, of equal types, bit for bit."""
    if type(left) is not type(right):
        return False
    if isinstance(left, torch.Tensor):
        return left.dtype == right.dtype and left.shape == right.shape and bytes_of(left) == bytes_of(right)
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    return repr(left) == repr(right)


def bytes_of(tensor):
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_genuine_file_is_read_as_torch_reads_it(tmp_path, protocol):
    path = tmp_path / "checkpoint.pth"
    torch.save(genuine(), path, pickle_protocol=protocol)
    ours, theirs = read_torch_file(path), torch.load(path, weights_only=False)
    assert same(ours, theirs)
    weights, expected = ours["network_weights"], theirs["network_weights"]
    assert weights._metadata == expected._metadata


def test_every_number_type_and_every_view_is_read(tmp_path):
    path = tmp_path / "tensors.pth"
    base = torch.arange(24.0).reshape(2, 3, 4)
    tensors = {str(dtype): torch.ones(3, dtype=dtype) for dtype in DTYPES.values()}
    views = {
        "transposed": base.permute(2, 0, 1),
        "part": base[1, :, 1:3],
        "channels last": torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "empty": torch.empty(0, 3),
        "scalar": torch.tensor(4),
        "shared": base,
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }
    torch.save({**tensors, **views}, path)
    ours, theirs = read_torch_file(path), torch.load(path, weights_only=False)
    theirs["parameter"] = theirs["parameter"].data
    assert same(ours, theirs)
    assert ours["channels last"].stride() == views["channels last"].stride()
    assert ours["part"].untyped_storage().data_ptr() == ours["shared"].untyped_storage().data_ptr()


@pytest.mark.parametrize("name", hostile.RUNNING)
def test_code_in_a_file_does_not_run(tmp_path, name):
    canary = tmp_path / "canary"
    pickled = hostile.RUNNING[name](canary)
    path = hostile.write(tmp_path / "checkpoint.pth", pickled)
    with pytest.raises(UnsafeFile, match=r"checkpoint\.pth .*(allowlist|pickle opcode)") as refusal:
        read_torch_file(path)
    assert not canary.exists()
    assert "Get the model from a source that you trust." in str(refusal.value)
    if name != "getattr":  # the others do run where a pickle is loaded as usual
        with suppress(Exception):  # the program goes on with what the call returned
            pickle.loads(pickled)
        assert canary.exists()


@pytest.mark.parametrize("name", hostile.UNSAFE)
def test_an_unsafe_pickle_is_refused_by_its_reason(tmp_path, name):
    pickled, reason = hostile.UNSAFE[name]
    path = hostile.write(tmp_path / "checkpoint.pth", pickled)
    with pytest.raises(UnsafeFile, match=reason):
        read_torch_file(path)


@pytest.mark.parametrize("name", hostile.CONTAINERS)
def test_an_unsafe_container_is_refused_by_its_reason(tmp_path, name):
    write, reason = hostile.CONTAINERS[name]
    path = tmp_path / "checkpoint.pth"
    write(path)
    with pytest.raises(UnsafeFile, match=reason):
        read_torch_file(path)


def test_the_hostile_files_differ_from_a_sound_one_by_their_fault_alone(tmp_path):
    sound = hostile.program(hostile.mapping(weights=hostile.tensor()))
    content = read_torch_file(hostile.write(tmp_path / "checkpoint.pth", sound))
    assert torch.equal(content["weights"], torch.zeros(2))


def test_truth_values_are_zero_or_one(tmp_path):
    storage = hostile.storage(kind=b"ctorch\nBoolStorage\n", count=hostile.number(8))
    pickled = hostile.program(hostile.tensor(source=storage))
    values = {"archive/data/0": bytes([0, 1, 2, 0, 0, 0, 0, 0])}
    path = hostile.write(tmp_path / "checkpoint.pth", pickled, members=values)
    with pytest.raises(UnsafeFile, match="truth values other than 0 and 1"):
        read_torch_file(path)


def test_damage_anywhere_ends_in_a_refusal_or_in_equal_values(tmp_path):
    """Two thousand bit flips and cuts, from a fixed seed."""
    path = tmp_path / "checkpoint.pth"
    torch.save({"weights": OrderedDict(a=torch.arange(6.0)), "dice": [np.float64(0.5)], "epoch": 3}, path)
    content, expected = path.read_bytes(), read_torch_file(path)
    random_numbers = random.Random(0)
    refused = 0
    for number in range(2000):
        damaged = bytearray(content)
        if number % 4 == 0:
            del damaged[random_numbers.randrange(len(content)) :]
        else:
            for _ in range(random_numbers.choice((1, 1, 2, 8))):
                damaged[random_numbers.randrange(len(content))] ^= 1 << random_numbers.randrange(8)
        path.write_bytes(damaged)
        try:
            assert same(read_torch_file(path), expected)
        except UnsafeFile:
            refused += 1
    assert 1000 < refused < 2000  # padding and dates carry no content


def test_flips_in_the_pickle_with_a_right_checksum_are_survived(tmp_path):
    """The checksum protects against accidents alone: an attacker writes a fitting one."""
    path = tmp_path / "checkpoint.pth"
    torch.save({"weights": OrderedDict(a=torch.arange(2.0)), "epoch": 3, "axes": (0, 1)}, path)
    pickled = hostile.zipfile.ZipFile(path).read("checkpoint/data.pkl")
    random_numbers = random.Random(1)
    for _ in range(1000):
        damaged = bytearray(pickled)
        for _ in range(random_numbers.choice((1, 2, 4))):
            damaged[random_numbers.randrange(len(pickled))] = random_numbers.randrange(256)
        hostile.write(path, bytes(damaged))
        try:
            content = read_torch_file(path)
        except UnsafeFile:
            continue
        assert isinstance(content, (dict, list, tuple, str, int, float, bytes, torch.Tensor, type(None)))


def test_a_missing_file_is_an_ordinary_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_torch_file(tmp_path / "none.pth")
