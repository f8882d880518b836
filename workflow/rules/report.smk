CAPTIONS = workflow.current_basedir.join("../report")


def carried():
    """What `snakemake --report` carries, as far as it is made. It is flagged where `all` asks for it: a rule's only output is its manifest."""
    pages = {"index": ("overview", "Overview")}
    pages |= {name: ("experiment", "Experiments") for name in PLAN.config.experiments}
    files = {f"{name}.html": told for name, told in pages.items()}
    files |= dict.fromkeys(
        ["metrics.csv", "loss.csv", "report.json"], ("figures", "Figures")
    )
    there = [name for name in files if Path("results/report", name).is_file()]
    return [with_caption(name, *files[name]) for name in there]


def with_caption(name, caption, category):
    return report(
        f"results/report/{name}",
        caption=CAPTIONS.join(f"{caption}.rst"),
        category=category,
        labels={"file": name},
    )


rule report:
    input:
        spec="results/report/spec.json",
        parts=lambda w: PLAN.inputs("results/report"),
    output:
        "results/report/manifest.json",
    log:
        "logs/report.log",
    benchmark:
        "benchmarks/report.tsv"
    conda:
        "../../envs/conda.yaml"
    envmodules:
        *PLAN.config.run.envmodules,
    resources:
        **JOBS.of("report", "results/report"),
    shell:
        "polar-tools report {input.spec} > {log} 2>&1"
