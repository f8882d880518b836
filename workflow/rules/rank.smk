rule rank:
    input:
        spec="results/{experiment}/rank/spec.json",
        parts=lambda w: PLAN.inputs(f"results/{w.experiment}/rank"),
    output:
        "results/{experiment}/rank/manifest.json",
    log:
        "logs/{experiment}/rank.log",
    benchmark:
        "benchmarks/{experiment}/rank.tsv"
    conda:
        "../../envs/conda.yaml"
    envmodules:
        *PLAN.config.run.envmodules,
    threads: lambda w: PLAN.threads(f"results/{w.experiment}/rank")
    resources:
        **JOBS.of("rank", "results/{experiment}/rank"),
        gpu=lambda w: PLAN.gpus(f"results/{w.experiment}/rank"),
    shell:
        "polar-tools rank {input.spec} > {log} 2>&1"
