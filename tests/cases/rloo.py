"""A model learns by rewards what animals say; the best reward is 1, and the untrained model has next to none."""

from tests import sounds

FAST = False
METRIC = "reward"
MARGIN = 0.7  # the untrained model has 0.10 of 1: so it must reach at least 0.8

CONFIG = f"""\
{sounds.DATA}experiments:
  learn:
    method: rloo
{sounds.RECIPE}    max_steps: 80
    per_device_train_batch_size: 32
    learning_rate: 3.0e-3
"""
make = sounds.make
