"""`polar-tools` in processes that begin with everything imported, so that a test can start, stop and kill many of them."""

import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

PRELOADED = [
    *("tests.forked", "polar_tools.training.session", "polar_tools.stages.train", "polar_tools.methods.sft", "polar_tools.preflight"),
    *("polar_tools.training.saving", "polar_tools.training.preemption", "polar_tools.training.evaluating", "polar_tools.training.finite"),
    *(
        "polar_tools.training.stopping",
        "polar_tools.training.allocation",
        "polar_tools.training.metrics_log",
        "polar_tools.trainers.answer_loss",
    ),
    *("peft", "deepspeed", "torch._dynamo", "transformers.models.llama.modeling_llama", "polar_tools.commands.train"),
]


def start(*words: str, cwd: Path, output: Path, **environment: str) -> BaseProcess:
    """Start `polar-tools WORDS`; what it says is added to the file `output`. Its status is that of the process."""
    return started(_run, words, str(cwd), str(output), environment)


def started(work: Callable[..., None], *told: object) -> BaseProcess:
    """Start `work` in such a process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=work, args=told)
    process.start()
    return process


def _run(words: tuple[str, ...], cwd: str, output: str, environment: dict[str, str]) -> None:
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(file, number)
    os.chdir(cwd)
    os.environ.update(environment)
    sys.argv = ["polar-tools", *words]
    from polar_tools.cli import main

    main()
    os._exit(0)
