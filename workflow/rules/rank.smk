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
    threads: lambda w: PLAN.threads(f"results/{w.experiment}/rank")
    resources:
        gpu=lambda w: PLAN.gpus(f"results/{w.experiment}/rank"),
        mem_mb=PLAN.resources("rank").mem_mb,
        runtime=PLAN.resources("rank").runtime,
    shell:
        "polar-tools rank {input.spec} > {log} 2>&1"
