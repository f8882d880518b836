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
        **JOBS.of("report", "results/report"),
    shell:
        "polar-tools report {input.spec} > {log} 2>&1"
