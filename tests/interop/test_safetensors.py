"""Safetensors files: what is written is read, a save is atomic, damage is named."""

import json
import os
import signal
import struct
import subprocess
import sys
import textwrap

import hypothesis
import hypothesis.strategies as st
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import optifunc as of
from optifunc.interop import load_safetensors, save_safetensors

safetensors = pytest.importorskip("safetensors.numpy", reason="extra `checkpoints`")


def assert_same(found, expected):
    """The same nesting, types, numbers and bits."""
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        assert [type(key) for key in found] == [type(key) for key in expected]
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert type(found) is type(expected)
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected, strict=True):
            assert_same(ours, theirs)
    elif isinstance(expected, np.ndarray):
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert found.tobytes() == expected.tobytes()
    else:
        assert type(found) is type(expected)
        assert found == expected or found != found


DTYPES = [
    *("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"),
    *("uint64", "float16", "float32", "float64", "complex64"),
    *(ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2),
]
STATE = {
    "state": {
        0: {"exp_avg": np.arange(6, dtype=np.float32).reshape(2, 3), "step": 3},
        "0": {"of a string key": np.float64([np.nan, -0.0, np.inf])},
    },
    "param_groups": [
        {"lr": 1e-3, "betas": (0.9, 0.999), "params": [0, 1], "mask": None},
        {"lr": float("inf"), "nan": float("nan"), "big": 2**70, "flag": True},
    ],
    "a.b": np.ones(1),
    "a": {"b": np.zeros(1)},
    "empty": {"list": [], "tuple": (), "dict": {}, "array": np.zeros((0, 3))},
    None: "none",
    2.5: "a float",
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_of_the_format(dtype, tmp_path):
    array = np.arange(6).astype(dtype).reshape(2, 3)
    transposed = np.ascontiguousarray(array.T)
    given = {"x": array, "transposed": transposed.T, "scalar": array[1, 2, ...].copy()}
    given["scalar"] = np.array(given["scalar"])
    save_safetensors(given, tmp_path / "x")
    assert_same(load_safetensors(tmp_path / "x"), given)
    # Another program reads the same numbers under the paths.
    if np.dtype(dtype).isbuiltin == 1 and dtype != "complex64":
        found = safetensors.load_file(tmp_path / "x")
        np.testing.assert_array_equal(found["x"], array)


def test_any_nesting_and_names_that_read_alike(tmp_path):
    save_safetensors(STATE, tmp_path / "x")
    assert_same(load_safetensors(tmp_path / "x"), STATE)


def test_a_byte_order_of_another_machine(tmp_path):
    save_safetensors({"x": np.arange(3, dtype=">f4")}, tmp_path / "x")
    assert_same(load_safetensors(tmp_path / "x"), {"x": np.arange(3, dtype="f4")})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.ones(2, np.complex128), r"complex128 at 'a\.b'"),
        (np.array(["text"]), r"<U4 at 'a\.b'"),
        (np.array([None]), r"object at 'a\.b'"),
        (jnp.ones(2, jnp.int4), r"int4 at 'a\.b'"),
        (print, r"found <built-in function print> at 'a\.b'"),
        ({(1, 2): 3}, r"keys, found \(1, 2\) in the dict at 'a\.b'"),
    ],
)
def test_what_a_file_cannot_hold_is_named(value, message, tmp_path):
    path = tmp_path / "x"
    save_safetensors(STATE, path)
    with pytest.raises(TypeError, match=message):
        save_safetensors({"a": {"b": value}}, path)
    assert_same(load_safetensors(path), STATE)
    assert os.listdir(tmp_path) == ["x"]


def test_an_exception_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x"
    save_safetensors(STATE, path)

    def full_disk(descriptor):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        save_safetensors({"x": np.ones(3)}, path)
    assert_same(load_safetensors(path), STATE)
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.skipif(sys.platform == "win32", reason="a signal of POSIX")
def test_a_kill_during_a_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "x"
    save_safetensors(STATE, path)
    # Killed when all is written and nothing replaced.
    program = """
        import os, signal, numpy as np
        from optifunc.interop import save_safetensors
        os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
        save_safetensors({"x": np.ones(100_000)}, os.environ["TARGET"])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, "TARGET": str(path)},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert_same(load_safetensors(path), STATE)
    save_safetensors({"x": np.ones(3)}, path)
    assert_same(load_safetensors(path), {"x": np.ones(3)})


def test_links_and_permissions_stay(tmp_path):
    path, link = tmp_path / "x", tmp_path / "link"
    save_safetensors(STATE, path)
    path.chmod(0o640)
    link.symlink_to(path)
    save_safetensors({"x": np.ones(3)}, link)
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert_same(load_safetensors(path), {"x": np.ones(3)})


# --- damage ---------------------------------------------------------------------------


def file_of(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(**changes):
    return {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **changes}


def with_content(content, **arrays):
    metadata = {
        "optifunc": content if isinstance(content, str) else json.dumps(content)
    }
    return file_of({"__metadata__": metadata, **arrays}, bytes(4 * len(arrays)))


HOSTILE = {
    "empty": b"",
    "truncated": b"\x05\x00",
    "a header past the end": struct.pack("<Q", 2**40) + b"{}",
    "a header of another encoding": file_of(b"\xff\xfe"),
    "a header that is not JSON": file_of(b"{"),
    "a header that is a list": file_of([]),
    "a deep header": file_of(b"[" * 100_000),
    "a file of another program": file_of({"x": entry()}, bytes(4)),
    "metadata that is a list": file_of({"__metadata__": []}),
    "negative offsets": with_content({"dict": []}, x=entry(data_offsets=[-4, 0])),
    "offsets past the end": with_content({"dict": []}, x=entry(data_offsets=[0, 400])),
    "overlapping arrays": with_content({"dict": []}, x=entry(), y=entry()),
    "an unknown dtype": with_content({"dict": []}, x=entry(dtype="F33")),
    "a shape of another size": with_content({"dict": []}, x=entry(shape=[2])),
    "a negative shape": with_content({"dict": []}, x=entry(shape=[-1])),
    "a huge shape": with_content({"dict": []}, x=entry(shape=[2**62, 2**62, 0])),
    "content that is not JSON": with_content("{"),
    "deep content": with_content('{"list":[' * 5_000 + "]}" * 5_000),
    "an entry of two kinds": with_content({"dict": [], "list": []}),
    "an unknown kind": with_content({"set": []}),
    "pairs that are none": with_content({"dict": [["a"]]}),
    "a key that is a list": with_content({"dict": [[[], 1]]}),
    "an array that is missing": with_content({"dict": [["a", {"array": "x"}]]}),
    "an array's name that is a number": with_content({"dict": [["a", {"array": 1}]]}),
    "an array of no entry": with_content({"dict": []}, x=entry()),
    "a number instead of a dict": with_content(1),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_value_errors(case, tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(HOSTILE[case])
    with pytest.raises(ValueError, match=r"'.*x\.safetensors' cannot be read: ."):
        load_safetensors(path)


@hypothesis.settings(max_examples=150)
@hypothesis.given(data=st.data())
def test_a_changed_byte_is_seen(data, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "changed"
    save_safetensors(STATE, path)
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content[: data.draw(st.sampled_from([len(content), place]))])
    # White space in the header may be another one; nothing else.
    try:
        found = load_safetensors(path)
    except ValueError:
        return
    assert_same(found, STATE)


def test_no_file_stays_a_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_safetensors(tmp_path / "nothing")


def test_an_optimizers_checkpoint(tmp_path):
    optimizer = of.optim.Adam({"w": jnp.ones(3)}, lr=0.1)
    optimizer.step(grads={"w": jnp.arange(3.0)})
    save_safetensors(optimizer.state_dict(), tmp_path / "x")
    other = of.optim.Adam(optimizer.params)
    other.load_state_dict(load_safetensors(tmp_path / "x"))
    assert_same(other.state_dict(), optimizer.state_dict())
