rule expect:
    input:
        spec="results/{expected}/expect/spec.json",
        parts=lambda w: PLAN.inputs(f"results/{w.expected}/expect"),
    output:
        "results/{expected}/expect/manifest.json",
    log:
        "logs/{expected}/expect.log",
    benchmark:
        "benchmarks/expect/{expected}.tsv"
    conda:
        "../../envs/conda.yaml"
    envmodules:
        *PLAN.config.run.envmodules,
    resources:
        **JOBS.of("expect", "results/{expected}/expect"),
    shell:
        "polar-tools expect {input.spec} > {log} 2>&1"
