rule convert:
    input:
        spec="results/models/{name}/spec.json",
        parts=lambda w: PLAN.inputs(f"results/models/{w.name}"),
    output:
        "results/models/{name}/manifest.json",
    log:
        "logs/models/{name}.log",
    benchmark:
        "benchmarks/models/{name}.tsv"
    conda:
        "../../envs/conda.yaml"
    envmodules:
        *PLAN.config.run.envmodules,
    resources:
        **JOBS.of("convert", "results/models/{name}"),
    shell:
        "polar-tools convert-model {input.spec} > {log} 2>&1"
