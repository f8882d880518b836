"""Tools as jobs, for programs: start one, ask for its status, cancel it. A job outlives whoever started it, and any process may ask.

    from polar_tools import jobs

    job = jobs.start("train", {"method": "sft", "model_name_or_path": "org/name", ..., "output_dir": "out"}, "jobs")
    jobs.status(job).state          # queued, running, done, failed, cancelled, interrupted
    jobs.cancel(job)                # a training saves a checkpoint first; jobs.again(job) goes on from there
    jobs.list("jobs")               # all jobs of a folder, also those that another process started

Names and arguments of tools: `polar-tools schema`, docs/programs.md.
"""

from polar_tools.jobs.asking import Status, cancel, find, status, wait
from polar_tools.jobs.asking import listed as list
from polar_tools.jobs.starting import again, start
from polar_tools.jobs.state import Job

__all__ = ["Job", "Status", "again", "cancel", "find", "list", "start", "status", "wait"]
