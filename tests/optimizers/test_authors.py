"""What already exists, on the recorded runs of other implementations."""

import pytest

import optifunc as of

from .authors import assert_follows


def test_signum(x64):
    tx = of.chain(of.momentum(0.9), of.scale_by_sign(), of.scale_by_learning_rate(0.1))
    assert_follows("signum", tx)


def test_a_wrong_rule_is_noticed(x64):
    with pytest.raises(AssertionError, match="step 1"):
        assert_follows("signum", of.sgd(0.1))
