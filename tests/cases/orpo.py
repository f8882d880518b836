"""The pairs of dpo, without a reference."""

from tests.cases import dpo

FAST = False
METRIC = "margin"
MARGIN = 3.0
CONFIG = dpo.CONFIG.replace("method: dpo", "method: orpo").replace("beta: 1.0", "beta: 1.0")
make = dpo.make
