rule report:
    input:
        spec="results/report/spec.json",
        parts=lambda w: PLAN.inputs("results/report"),
    output:
        "results/report/manifest.json",
    log:
        "logs/report.log",
    benchmark:
        "benchmarks/report.tsv"
    resources:
        mem_mb=PLAN.resources("report").mem_mb,
        runtime=PLAN.resources("report").runtime,
    shell:
        "polar-tools report {input.spec} > {log} 2>&1"
