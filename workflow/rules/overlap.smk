rule overlap:
    input:
        spec="results/datasets/{name}/overlap/{evaluation}/spec.json",
        parts=lambda w: PLAN.inputs(f"results/datasets/{w.name}/overlap/{w.evaluation}"),
    output:
        "results/datasets/{name}/overlap/{evaluation}/manifest.json",
    log:
        "logs/datasets/{name}/overlap/{evaluation}.log",
    benchmark:
        "benchmarks/datasets/{name}/overlap/{evaluation}.tsv"
    resources:
        mem_mb=PLAN.resources("overlap").mem_mb,
        runtime=PLAN.resources("overlap").runtime,
    shell:
        "polar-tools overlap {input.spec} > {log} 2>&1"
