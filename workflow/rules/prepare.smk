rule prepare:
    input:
        spec="results/datasets/{dataset}/spec.json",
        parts=lambda w: PLAN.inputs(f"results/datasets/{w.dataset}"),
    output:
        "results/datasets/{dataset}/manifest.json",
    log:
        "logs/datasets/{dataset}.log",
    benchmark:
        "benchmarks/datasets/{dataset}.tsv"
    conda:
        "../../envs/conda.yaml"
    envmodules:
        *PLAN.config.run.envmodules,
    resources:
        **JOBS.of("prepare", "results/datasets/{dataset}"),
    shell:
        "polar-tools prepare {input.spec} > {log} 2>&1"
