rule evaluate:
    input:
        spec="results/{experiment}/{run}/evaluate/{evaluation}/spec.json",
        parts=lambda w: PLAN.inputs(
            f"results/{w.experiment}/{w.run}/evaluate/{w.evaluation}"
        ),
    output:
        "results/{experiment}/{run}/evaluate/{evaluation}/manifest.json",
    log:
        "logs/{experiment}/{run}/evaluate/{evaluation}.log",
    benchmark:
        "benchmarks/{experiment}/{run}/evaluate/{evaluation}.tsv"
    conda:
        "../../envs/conda.yaml"
    envmodules:
        *PLAN.config.run.envmodules,
    threads: lambda w: PLAN.threads(f"results/{w.experiment}/{w.run}/evaluate/{w.evaluation}")
    resources:
        **JOBS.of("evaluate", "results/{experiment}/{run}/evaluate/{evaluation}"),
        gpu=lambda w: PLAN.gpus(
            f"results/{w.experiment}/{w.run}/evaluate/{w.evaluation}"
        ),
    shell:
        "polar-tools evaluate {input.spec} > {log} 2>&1"
