# Compute nodes often have no network, so this runs where Snakemake does.
localrules:
    mirror,


rule mirror:
    input:
        spec="resources/{section}/{name}/spec.json",
        parts=lambda w: PLAN.inputs(f"resources/{w.section}/{w.name}"),
    output:
        "resources/{section}/{name}/manifest.json",
    log:
        "logs/resources/{section}/{name}.log",
    benchmark:
        "benchmarks/resources/{section}/{name}.tsv"
    conda:
        "../../envs/conda.yaml"
    envmodules:
        *PLAN.config.run.envmodules,
    resources:
        **JOBS.of("mirror", "resources/{section}/{name}"),
    shell:
        "polar-tools pull-push {input.spec} > {log} 2>&1"
