rule decontaminate:
    input:
        spec="results/datasets/{prepared}/clean/spec.json",
        parts=lambda w: PLAN.inputs(f"results/datasets/{w.prepared}/clean"),
    output:
        "results/datasets/{prepared}/clean/manifest.json",
    log:
        "logs/datasets/{prepared}/clean.log",
    benchmark:
        "benchmarks/datasets/{prepared}/clean.tsv"
    conda:
        "../../envs/conda.yaml"
    envmodules:
        *PLAN.config.run.envmodules,
    resources:
        **JOBS.of("decontaminate", "results/datasets/{prepared}/clean"),
    shell:
        "polar-tools decontaminate {input.spec} > {log} 2>&1"
