rule harness:
    input:
        spec="results/{experiment}/{run}/harness/{evaluation}/spec.json",
        parts=lambda w: PLAN.inputs(
            f"results/{w.experiment}/{w.run}/harness/{w.evaluation}"
        ),
    output:
        "results/{experiment}/{run}/harness/{evaluation}/manifest.json",
    log:
        "logs/{experiment}/{run}/harness/{evaluation}.log",
    benchmark:
        "benchmarks/{experiment}/{run}/harness/{evaluation}.tsv"
    conda:
        "../../envs/conda.yaml"
    envmodules:
        *PLAN.config.run.envmodules,
    threads: lambda w: PLAN.threads(f"results/{w.experiment}/{w.run}/harness/{w.evaluation}")
    resources:
        **JOBS.of("harness", "results/{experiment}/{run}/harness/{evaluation}"),
        gpu=lambda w: PLAN.gpus(
            f"results/{w.experiment}/{w.run}/harness/{w.evaluation}"
        ),
    shell:
        "polar-tools harness {input.spec} > {log} 2>&1"
