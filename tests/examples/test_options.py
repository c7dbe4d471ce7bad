"""Every example says in one line what is wrong with an option, before it trains."""

import runpy
import subprocess
import sys

import jax
import numpy as np
import pytest

from .running import EXAMPLES, shared_data

EVERY = sorted(path.stem for path in EXAMPLES.glob("*.py"))
COUNT = "must be an integer of at least {}, found {!r}"


@pytest.fixture
def error_of(monkeypatch, capsys, tmp_path):
    """The last line that an example prints when it ends in an error of its options."""
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.chdir(tmp_path)

    def error_of(example, *arguments):
        monkeypatch.setattr("sys.argv", [f"{example}.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(EXAMPLES / f"{example}.py"), run_name="__main__")
        assert stopped.value.code == 2
        return capsys.readouterr().err.splitlines()[-1]

    return error_of


# Runs the example of the last argument as a program, and prints which packages it had
# imported when it ended.
ENDED = """
import runpy, sys
path, example = sys.argv[1:3]
sys.path.insert(0, path)
del sys.argv[:2]
before = set(sys.modules)
try:
    runpy.run_path(f"{path}/{example}", run_name="__main__")
except SystemExit as stopped:
    found = {name.partition(".")[0] for name in set(sys.modules) - before}
    print(stopped.code, *sorted(found - sys.stdlib_module_names))
"""


@pytest.mark.cheap
@pytest.mark.parametrize("example", EVERY)
@pytest.mark.parametrize(("option", "code"), [("--help", 0), ("--wrong", 2)])
def test_options_are_read_before_anything_is_imported(example, option, code):
    finished = subprocess.run(
        [sys.executable, "-c", ENDED, EXAMPLES, f"{example}.py", option],
        capture_output=True,
        text=True,
        check=True,
    )
    assert finished.stdout.splitlines()[-1] == f"{code} support"
    assert f"usage: {example}.py" in finished.stdout + finished.stderr


@pytest.mark.cheap
@pytest.mark.parametrize("example", EVERY)
@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--output", "noext", ".jpg, .pdf, .png, .svg, found 'noext'"),
        ("--output", "folder/", ".jpg, .pdf, .png, .svg, found 'folder/'"),
        ("--output", "x.txt", ".jpg, .pdf, .png, .svg, found 'x.txt'"),
        ("--output", "no/x.png", "in a folder that exists, found 'no/x.png'"),
        ("--seed", -1, "must be an integer in 0..4294967295, found '-1'"),
        ("--seed", 2**32, "0..4294967295, found '4294967296'"),
        ("--epochs", "x", "an integer of at least "),
        ("--epochs", 0, "an integer of at least "),
    ],
)
def test_every_example_refuses(error_of, example, option, value, message):
    line = error_of(example, option, value)
    assert line.startswith(f"{example}.py: error: argument {option}: must be ")
    assert message in line
    assert repr(str(value)) in line


@pytest.mark.parametrize("example", ["quickstart", "sharded_training"])
def test_a_picture_in_a_folder_that_cannot_be_written_to(error_of, example):
    if not sys.platform.startswith("linux"):
        pytest.skip("needs a folder into which nobody can write, as Linux has")
    line = error_of(example, "--output", "/proc/x.png")
    assert "--output: must be a file that can be written, found '/proc/x.png'" in line


def test_the_default_picture_is_looked_at_too(error_of, tmp_path):
    (tmp_path / "quickstart.png").mkdir()
    line = error_of("quickstart")
    assert line.endswith("must be a file, found the folder 'quickstart.png'")


@pytest.mark.parametrize(
    ("example", "option", "file"),
    [
        ("param_groups_and_schedules", (), "x.safetensors"),
        ("optimizer_comparison", ("--landscape",), "landscape.gif"),
    ],
)
def test_what_goes_beside_a_picture(error_of, tmp_path, example, option, file):
    (tmp_path / file).mkdir()
    line = error_of(example, *option, "--output", "x.png")
    assert line.endswith(
        f"what goes beside the picture must be a file, found the folder {file!r}"
    )


def test_a_picture_may_not_be_a_folder(error_of, tmp_path):
    (tmp_path / "x.png").mkdir()
    line = error_of("quickstart", "--output", "x.png")
    assert "--output: must be a file, found the folder 'x.png'" in line


@pytest.mark.parametrize(
    ("example", "option", "least", "value"),
    [
        ("learning_rate_sweep", "--rates", 2, "1"),
        ("param_groups_and_schedules", "--epochs", 2, "1"),
        ("hypergradient", "--outer-steps", 1, "1.5"),
        ("cifar10_cnn", "--batch-size", 1, "0"),
        ("sharded_training", "--width", 16, "8"),
    ],
)
def test_smallest_numbers(error_of, example, option, least, value):
    line = error_of(example, option, value)
    assert line.endswith(f"argument {option}: {COUNT.format(least, value)}")


# The others train on what comes with packages.
OWN_DATA = {
    "continue_pytorch",
    "learning_rate_finder",
    "low_precision",
    "quickstart",
    "sharded_training",
}
WITH_DATA = sorted(set(EVERY) - OWN_DATA)


@pytest.mark.parametrize("example", WITH_DATA)
def test_data_that_is_not_there(error_of, example):
    line = error_of(example, "--data", "nowhere")
    assert line == f"{example}.py: error: argument --data: found no nowhere"


@pytest.mark.parametrize(
    ("example", "option"),
    [
        ("optimizer_comparison", "--data"),
        ("cifar10_cnn", "--recorded"),
        ("lenet5_cifar10", "--recorded"),
    ],
)
def test_recordings_of_something_else(error_of, tmp_path, example, option):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    line = error_of(example, option, "other.npz")
    assert f"error: {option}: found no " in line
    assert "init.0.weight" in line
    assert line.endswith(" in other.npz")
    (tmp_path / "text.npz").write_text("no arrays")
    line = error_of(example, option, "text.npz")
    assert line.endswith(f"error: {option}: expected an .npz file, found text.npz")
    line = error_of(example, option, "nowhere.npz")
    assert line.endswith(f"error: argument {option}: found no nowhere.npz")


def write_idx(folder, images):
    """Fashion-MNIST of so many black images to train on, and as many to test."""
    size = images.to_bytes(4, "big")
    for split in ("train", "t10k"):
        head = bytes([0, 0, 8, 3]) + size + (28).to_bytes(4, "big") * 2
        path = folder / f"{split}-images-idx3-ubyte"
        path.write_bytes(head + bytes(images * 28 * 28))
        path = folder / f"{split}-labels-idx1-ubyte"
        path.write_bytes(bytes([0, 0, 8, 1]) + size + bytes(images))


# A batch is 64 images in both; of hypergradient's another 100 are for validation.
@pytest.mark.parametrize(
    ("example", "images", "least"),
    [("param_groups_and_schedules", 63, 64), ("hypergradient", 163, 164)],
)
def test_fewer_images_than_a_batch(error_of, tmp_path, example, images, least):
    write_idx(tmp_path, images)
    line = error_of(example, "--data", tmp_path)
    assert f"--data: expected {least} or more images in the train files" in line
    assert line.endswith(f"found {images}")


def write_records(folder, images, seed=0):
    rng = np.random.default_rng(seed)
    records = rng.integers(256, size=(images, 3073), dtype=np.uint8)
    records[:, 0] %= 10
    path = folder / f"{seed}.bin"
    path.write_bytes(records.tobytes())
    return path


def test_fewer_images_of_cifar10_than_a_batch(error_of, tmp_path):
    data = write_records(tmp_path, 31)
    line = error_of("learning_rate_sweep", "--data", data)
    assert line.endswith("--data: expected 32 or more images in 0.bin, found 31")
    line = error_of("cifar10_cnn", "--data", data, "--batch-size", 32)
    assert line.endswith("must be at most 31, the images of --data, found 32")


@pytest.mark.parametrize(
    ("example", "recording"),
    [("lenet5_cifar10", "baseline_lenet.npz"), ("cifar10_cnn", "baseline_cnn.npz")],
)
def test_recordings_with_other_images(error_of, tmp_path, example, recording):
    recorded = shared_data(recording)
    data = write_records(tmp_path, 10_000)  # as many as were recorded
    with jax.numpy_rank_promotion("allow"):
        line = error_of(example, "--data", data, "--recorded", recorded, "--epochs", 1)
    with np.load(recorded) as arrays:
        assert f"the first loss is {arrays['step_loss'][0, 0]:.6f}," in line
    assert "error: --recorded: " in line
    assert line.endswith("must have been recorded with the same images")


@pytest.mark.parametrize(
    ("example", "package", "extra"),
    [
        ("continue_pytorch", "torch", "torch"),
        ("sharded_training", "orbax", '-e ".[examples]"'),
        ("quickstart", "sklearn", '-e ".[examples]"'),
    ],
)
def test_a_package_that_is_missing(error_of, monkeypatch, example, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    line = error_of(example)
    assert line.endswith(f"this example needs {package}: pip install {extra}")


def test_choices_are_those_that_the_examples_have(monkeypatch):
    """Options come before the imports, and what they name comes after."""
    monkeypatch.syspath_prepend(EXAMPLES)
    import learning_rate_finder as finder
    import low_precision
    import optimizer_comparison as comparison

    (choice,) = (a for a in finder.parser._actions if a.dest == "optimizer")
    assert list(choice.choices) == list(finder.OPTIMIZERS)
    assert list(low_precision.NAMES) == list(low_precision.FORMS)
    assert list(low_precision.TITLES) == list(low_precision.OPTIMIZERS)
    names = [*comparison.TUTORIAL, *comparison.OTHERS]
    assert names == list(comparison.OPTIMIZERS)
