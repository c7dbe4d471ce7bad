"""The command: what it prints, and programs that it has rewritten."""

import runpy
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from optifunc.migrate.__main__ import main

PROGRAMS = Path(__file__).parent / "programs"
RUN = ["injected", "names_imported", "network"]


def advice(capsys, *arguments):
    assert main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("flag", ["--write", "--write-import"])
@pytest.mark.parametrize("name", RUN)
def test_rewritten_programs_compute_the_same(name, flag, tmp_path, capsys):
    original = PROGRAMS / f"{name}.py"
    copy = tmp_path / "program.py"
    copy.write_text(original.read_text())
    assert "written" in advice(capsys, copy, flag)
    changed = copy.read_text()
    assert "import optax\n" not in changed
    assert "from optax" not in changed
    assert ("import optifunc as of" in changed) == (flag == "--write")
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        theirs = jax.tree.leaves(runpy.run_path(str(original))["result"])
        ours = jax.tree.leaves(runpy.run_path(str(copy))["result"])
    assert theirs
    for x, y in zip(ours, theirs, strict=True):
        # optax's bias corrections are off by 1e-5 in the first steps.
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)


def test_comments_and_lines_stay(tmp_path, capsys):
    copy = tmp_path / "program.py"
    copy.write_text((PROGRAMS / "network.py").read_text())
    advice(capsys, copy, "--write")
    changed = copy.read_text()
    assert "    # no step of a bad batch\n    of.clip_by_global_norm(1.0" in changed
    assert "\n# The rate rises, and falls along a cosine.\n" in changed
    # optax's own decay, which is not ours.
    assert "betas=(0.9, 0.95), weight_decay=0.0001, mask=decays)" in changed


def test_nothing_is_written_unasked(tmp_path, capsys):
    copy = tmp_path / "program.py"
    source = (PROGRAMS / "network.py").read_text()
    copy.write_text(source)
    printed = advice(capsys, copy)
    assert copy.read_text() == source
    assert "   22  optax.warmup_cosine_decay_schedule(" in printed
    assert "    =  of.schedules.warmup_cosine(3e-2, 3, 12, initial_value=0.0" in printed
    assert "of.losses.cross_entropy" in printed
    assert "import optifunc.compat.optax as optax" in printed


def test_what_the_state_holds_is_spoken_of(capsys):
    printed = " ".join(advice(capsys, PROGRAMS / "injected.py").split())
    assert "~ optax.MultiSteps( of.sgd(0.1, momentum=0.9)" in printed
    assert "of.accumulate_gradients" in printed
    assert "of.replace_hyperparameters(tx, lr=...)" in printed


def test_a_program_of_torch(capsys):
    printed = " ".join(advice(capsys, PROGRAMS / "of_torch.py").split())
    for expected in (
        "of.optim.AdamW(params, lr=1e-3)",
        "of.optim.lr_scheduler.StepLR(optimizer, step_size=5, gamma=0.5)",
        "functools.partial(of.losses.cross_entropy, label_smoothing=0.1)",
        "of.losses.mse_loss(model(x), y)",
        "of.optim.swa_utils.AveragedModel(model)",
        "of.dynamic_loss_scale(tx, init_scale=1024.0)",
        "of.optim.clip_grad.clip_grad_norm_(optimizer, 1.0)",
        "optimizer.backward(loss_fn, *args)",
        "optimizer.params",
    ):
        assert expected in printed
    assert "optax" not in printed


def test_a_negative_rate_names_maximize(tmp_path, capsys):
    path = tmp_path / "program.py"
    path.write_text("import optax\ntx = optax.sgd(-0.1)\n")
    assert "maximize=True" in advice(capsys, path)


def test_a_program_without_either(tmp_path, capsys):
    path = tmp_path / "program.py"
    path.write_text("import math\nmath.sqrt(2).backward\n")
    printed = advice(capsys, path, "--write")
    assert "0 uses" in printed
    assert "nothing to write" in printed


def test_bad_files(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([str(tmp_path / "missing.py")])
    assert "missing.py" in capsys.readouterr().err
    path = tmp_path / "program.py"
    path.write_text("def\n")
    assert main([str(path)]) == 1
    assert "not a Python program" in capsys.readouterr().err


def test_as_a_module():
    shown = subprocess.run(
        [sys.executable, "-m", "optifunc.migrate", "--help"],
        capture_output=True,
        check=True,
        text=True,
    )
    assert "--write-import" in shown.stdout


def test_without_libcst(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "libcst", None)
    with pytest.raises(SystemExit):
        main([str(PROGRAMS / "network.py")])
    assert "pip install 'optifunc[migrate]'" in capsys.readouterr().err
