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
    resources:
        mem_mb=PLAN.resources("mix").mem_mb,
        runtime=PLAN.resources("mix").runtime,
    shell:
        "polar-tools mix {input.spec} > {log} 2>&1"
