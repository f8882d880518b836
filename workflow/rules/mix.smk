rule mix:
    input:
        spec="results/datasets/{mixture}/spec.json",
        parts=lambda w: PLAN.inputs(f"results/datasets/{w.mixture}"),
    output:
        "results/datasets/{mixture}/manifest.json",
    log:
        "logs/datasets/{mixture}.log",
    benchmark:
        "benchmarks/datasets/{mixture}.tsv"
    conda:
        "../../envs/conda.yaml"
    envmodules:
        *PLAN.config.run.envmodules,
    resources:
        **JOBS.of("mix", "results/datasets/{mixture}"),
    shell:
        "polar-tools mix {input.spec} > {log} 2>&1"
