# Config -> validated -> plan -> rules. Every rule makes one artifact folder; see CONTRIBUTING.md.
import os

from snakemake.exceptions import WorkflowError

from polar_tools import config as configuration
from polar_tools import slurm
from polar_tools.allocations import Allocations
from polar_tools.errors import PolarError
from polar_tools.plan import Plan

# A config that is named on the command line stands for itself: Snakemake would only add it to this one.
if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


# Plain `snakemake` uses every core of this machine; a profile cannot say so, for `cores` would bind a cluster too.
if workflow.nodes is None and workflow.resource_settings.cores is None:
    workflow.resource_settings.cores = os.cpu_count()
    workflow.global_resources["_cores"] = os.cpu_count()

try:
    for file in workflow.configfiles:
        configuration.read(Path(file))
    PLAN = Plan(configuration.parse(config, ", ".join(map(str, workflow.configfiles))))
    if workflow.is_main_process:
        PLAN.settle()
        slurm.mend()
    JOBS = Allocations(PLAN, foretold=workflow.is_main_process)
except PolarError as error:
    raise WorkflowError(str(error)) from None


wildcard_constraints:
    section="models|datasets",
    experiment="|".join(map(re.escape, [*PLAN.config.experiments, *PLAN.references]))
    or "none",
    dataset="|".join(map(re.escape, PLAN.config.datasets)) or "none",
    mixture="|".join(map(re.escape, PLAN.config.mixtures)) or "none",
    prepared="|".join(map(re.escape, [*PLAN.config.datasets, *PLAN.config.mixtures]))
    or "none",
    evaluation="|".join(map(re.escape, PLAN.config.evaluations)) or "none",
    name="[^/]+",
    run=r"base|seed\d+",
    expected=r"datasets/[^/]+|[^/]+/tokenize",
    publication="|".join(map(re.escape, PLAN.config.publish)) or "none",


# What `--sdm apptainer` runs jobs in.
container: PLAN.config.run.container


localrules:
    all,
    datasets,


report: "workflow/report/workflow.rst"


rule all:
    default_target: True
    input:
        PLAN.targets(),
        lambda w: carried(),  # by `snakemake --report`


for stage in (
    "mirror",
    "convert",
    "prepare",
    "mix",
    "expect",
    "overlap",
    "decontaminate",
    "tokenize",
    "rank",
    "train",
    "evaluate",
    "harness",
    "compare",
    "report",
    "publish",
):

    include: f"workflow/rules/{stage}.smk"


# `snakemake datasets` makes all rows, and what was found in them.
rule datasets:
    input:
        PLAN.targets("results/datasets/"),


# `snakemake experiment_NAME` makes one experiment: its trainings and measurements.
for experiment in PLAN.config.experiments:

    rule:
        name:
            f"experiment_{experiment}"
        input:
            PLAN.targets(f"results/{experiment}/"),
