"""Inflating in large pieces gives what Python's own gzip module gives."""

from __future__ import annotations

import gzip
import io
import zlib

import numpy as np
import pytest

from nnunet_pancext.io import gzip_stream
from nnunet_pancext.io.gzip_stream import GzipStream

NOISE = np.random.default_rng(3).bytes(5000)
CONTENTS = {
    "noise": NOISE,
    "zeros": bytes(70000),  # inflates to a thousand times its size
    "nothing": b"",
    "one byte": b"x",
}


def everything(data, *, step):
    stream, read = GzipStream(io.BytesIO(data)), b""
    while piece := stream.read(step):
        read += piece
    return read


@pytest.fixture(params=[1, 7, 1 << 20], autouse=True)
def compressed_piece(request, monkeypatch):
    monkeypatch.setattr(gzip_stream, "COMPRESSED_PIECE", request.param)


@pytest.mark.parametrize("step", [13, 4096, 1 << 20])
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_the_content_is_that_of_the_gzip_module(content, step):
    for data in (
        gzip.compress(content),
        gzip.compress(content, 0),
        gzip.compress(content) + bytes(600),
        gzip.compress(content[:40]) + bytes(3) + gzip.compress(content[40:]) + bytes(9),
    ):
        assert gzip.decompress(data) == content
        assert everything(data, step=step) == content


def test_every_read_is_full_but_the_last():
    stream = GzipStream(io.BytesIO(gzip.compress(NOISE)))
    assert [len(stream.read(2000)) for _ in range(4)] == [2000, 2000, 1000, 0]


@pytest.mark.parametrize("kept", [0, 5, 12, 200, -9, -8, -1])
def test_a_cut_file_is_told(kept):
    with pytest.raises(EOFError):
        everything(gzip.compress(NOISE)[:kept], step=1000)


DAMAGED = {  # named: bytes that hold the time of compressing would be other names in other processes
    "no gzip file": (b"no gzip file at all", gzip.BadGzipFile),
    "short text": (b"hello", gzip.BadGzipFile),
    "short garbage": (gzip.compress(NOISE) + b"x", gzip.BadGzipFile),
    "other method": (gzip.compress(NOISE)[:2] + b"\x07" + gzip.compress(NOISE)[3:], gzip.BadGzipFile),
    "garbage after the end": (gzip.compress(NOISE) + b"garbage after the end", gzip.BadGzipFile),
    "other checksum": (gzip.compress(NOISE)[:-8] + b"1234" + gzip.compress(NOISE)[-4:], gzip.BadGzipFile),
    "other length": (gzip.compress(NOISE)[:-4] + b"1234", gzip.BadGzipFile),
    "no such block": (gzip.compress(b"")[:10] + b"\xff" * 20, zlib.error),
}


@pytest.mark.parametrize(("damaged", "error"), DAMAGED.values(), ids=DAMAGED)
def test_damage_is_told(damaged, error):
    with pytest.raises(error):
        everything(damaged, step=1000)
