rule tokenize:
    input:
        spec="results/{experiment}/tokenize/spec.json",
        parts=lambda w: PLAN.inputs(f"results/{w.experiment}/tokenize"),
        gates=lambda w: ancient(PLAN.gates(f"results/{w.experiment}/tokenize")),
    output:
        "results/{experiment}/tokenize/manifest.json",
    log:
        "logs/{experiment}/tokenize.log",
    benchmark:
        "benchmarks/{experiment}/tokenize.tsv"
    conda:
        "../../envs/conda.yaml"
    envmodules:
        *PLAN.config.run.envmodules,
    threads: lambda w: PLAN.threads(f"results/{w.experiment}/tokenize")
    resources:
        **JOBS.of("tokenize", "results/{experiment}/tokenize"),
    shell:
        "polar-tools tokenize {input.spec} > {log} 2>&1"
