"""The peak of a training, as the plan foretells it from formulas alone, and as a fresh process needs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny import REPOSITORY


@pytest.mark.slow
@pytest.mark.parametrize("job", ["masked", "sft-checkpointed"])
def test_the_peak_is_foretold(job: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    code = f"""
import json
from bench.memory import JOBS, foretold, measured, prepare, trained
prepare([{job!r}], None)
said = foretold()
trained({job!r}, JOBS[{job!r}])
print(json.dumps([said[{job!r}], measured({job!r})["peak_memory_mb"]]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said, found = json.loads(done.stdout.splitlines()[-1])
    assert 0.9 <= said / found <= 1.2
