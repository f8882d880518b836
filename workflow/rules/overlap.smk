rule overlap:
    input:
        spec="results/datasets/{prepared}/overlap/{evaluation}/spec.json",
        parts=lambda w: PLAN.inputs(
            f"results/datasets/{w.prepared}/overlap/{w.evaluation}"
        ),
    output:
        "results/datasets/{prepared}/overlap/{evaluation}/manifest.json",
    log:
        "logs/datasets/{prepared}/overlap/{evaluation}.log",
    benchmark:
        "benchmarks/datasets/{prepared}/overlap/{evaluation}.tsv"
    conda:
        "../../envs/conda.yaml"
    envmodules:
        *PLAN.config.run.envmodules,
    resources:
        **JOBS.of("overlap", "results/datasets/{prepared}/overlap/{evaluation}"),
    shell:
        "polar-tools overlap {input.spec} > {log} 2>&1"
