rule train:
    input:
        spec="results/{experiment}/{run}/train/spec.json",
        parts=lambda w: PLAN.inputs(f"results/{w.experiment}/{w.run}/train"),
        gates=lambda w: ancient(PLAN.gates(f"results/{w.experiment}/{w.run}/train")),
    output:
        "results/{experiment}/{run}/train/manifest.json",
    log:
        "logs/{experiment}/{run}/train.log",
    benchmark:
        "benchmarks/{experiment}/{run}/train.tsv"
    threads: lambda w: PLAN.threads(f"results/{w.experiment}/{w.run}/train")
    resources:
        gpu=lambda w: PLAN.gpus(f"results/{w.experiment}/{w.run}/train"),
        mem_mb=PLAN.resources("train").mem_mb,
        runtime=PLAN.resources("train").runtime,
    params:
        preflight=lambda w: (
            ""
            if PLAN.config.experiments[w.experiment].preflight
            else "--preflight off"
        ),
    shell:
        "polar-tools train {input.spec} {params.preflight} > {log} 2>&1"
