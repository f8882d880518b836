rule decontaminate:
    input:
        spec="results/datasets/{name}/clean/spec.json",
        parts=lambda w: PLAN.inputs(f"results/datasets/{w.name}/clean"),
    output:
        "results/datasets/{name}/clean/manifest.json",
    log:
        "logs/datasets/{name}/clean.log",
    benchmark:
        "benchmarks/datasets/{name}/clean.tsv"
    resources:
        mem_mb=PLAN.resources("decontaminate").mem_mb,
        runtime=PLAN.resources("decontaminate").runtime,
    shell:
        "polar-tools decontaminate {input.spec} > {log} 2>&1"
