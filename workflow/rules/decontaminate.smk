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
    resources:
        mem_mb=PLAN.resources("decontaminate").mem_mb,
        runtime=PLAN.resources("decontaminate").runtime,
    shell:
        "polar-tools decontaminate {input.spec} > {log} 2>&1"
