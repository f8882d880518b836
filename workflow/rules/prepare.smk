rule prepare:
    input:
        spec="results/datasets/{name}/spec.json",
        parts=lambda w: PLAN.inputs(f"results/datasets/{w.name}"),
    output:
        "results/datasets/{name}/manifest.json",
    log:
        "logs/datasets/{name}.log",
    benchmark:
        "benchmarks/datasets/{name}.tsv"
    resources:
        mem_mb=PLAN.resources("prepare").mem_mb,
        runtime=PLAN.resources("prepare").runtime,
    shell:
        "polar-tools prepare {input.spec} > {log} 2>&1"
