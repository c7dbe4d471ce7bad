"""Two groups, two schedules, and a run that goes on from a file."""

import re

import numpy as np
import pytest

from optifunc import interop

from .running import check_picture, run


def test_schedules_have_their_closed_form_and_the_resumed_run_is_the_same(tmp_path):
    epochs = 9
    picture = tmp_path / "curves.png"
    printed = run(
        "param_groups_and_schedules.py", "--epochs", epochs, "--output", picture
    )
    check_picture(picture)

    rows = re.findall(r"^ *(\d+) +(\S+) +(\S+) +(\d\.\d+)$", printed, re.MULTILINE)
    epoch, base, classifier, losses = np.array(rows, float).T
    np.testing.assert_array_equal(epoch, np.arange(epochs))
    # The table has four digits.
    np.testing.assert_allclose(base, 1e-2 * (epoch // 3), rtol=5e-4)
    np.testing.assert_allclose(classifier, 5e-2 * 0.95**epoch, rtol=5e-4)
    assert losses[-1] < 0.5 * losses[0]

    # Half of the epochs again, each of 22 batches, and equal to the last bit.
    found = re.search(r"difference between (\d+) losses, .*: (\S+)$", printed, re.M)
    assert int(found[1]) == (epochs - epochs // 2) * 22
    assert float(found[2]) == 0

    checkpoint = interop.load_safetensors(picture.with_suffix(".safetensors"))
    assert checkpoint["scheduler"]["last_epoch"] == epochs // 2
    groups = checkpoint["optimizer"]["param_groups"]
    assert [group["params"] for group in groups] == [[0, 1, 2, 3], [4, 5]]
    assert [group["lr"] for group in groups] == pytest.approx([1e-2, 5e-2 * 0.95**4])
    momentum = checkpoint["optimizer"]["state"][5]["momentum_buffer"]
    assert momentum.shape == checkpoint["params"][1]["weight"].shape
    assert np.any(momentum != 0)
