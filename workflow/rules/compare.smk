rule compare:
    input:
        spec="results/comparisons/{evaluation}/spec.json",
        parts=lambda w: PLAN.inputs(f"results/comparisons/{w.evaluation}"),
    output:
        "results/comparisons/{evaluation}/manifest.json",
    log:
        "logs/comparisons/{evaluation}.log",
    benchmark:
        "benchmarks/comparisons/{evaluation}.tsv"
    conda:
        "../../envs/conda.yaml"
    envmodules:
        *PLAN.config.run.envmodules,
    resources:
        **JOBS.of("compare", "results/comparisons/{evaluation}"),
    shell:
        "polar-tools compare {input.spec} > {log} 2>&1"
