def of_train(name):
    """A resource of a training's job; None where it has no such."""
    return lambda w: PLAN.allocation(f"results/{w.experiment}/{w.run}/train")[name]


rule train:
    input:
        spec="results/{experiment}/{run}/train/spec.json",
        parts=lambda w: PLAN.inputs(f"results/{w.experiment}/{w.run}/train"),
        gates=lambda w: ancient(PLAN.gates(f"results/{w.experiment}/{w.run}/train")),
    output:
        "results/{experiment}/{run}/train/manifest.json",
    log:
        "logs/{experiment}/{run}/train.log",
    benchmark:
        "benchmarks/{experiment}/{run}/train.tsv"
    conda:
        "../../envs/conda.yaml"
    envmodules:
        *PLAN.config.run.envmodules,
    threads: lambda w: PLAN.threads(f"results/{w.experiment}/{w.run}/train")
    resources:
        **JOBS.of("train", "results/{experiment}/{run}/train"),
        gpu=of_train("gpu"),
        nodes=of_train("nodes"),
        tasks=of_train("tasks"),
        mpi=of_train("mpi"),
        gres=of_train("gres"),
        tasks_per_gpu=of_train("tasks_per_gpu"),
    params:
        on_each=lambda w, resources: (
            f"{resources.mpi} --nodes={resources.nodes} --ntasks={resources.tasks} --ntasks-per-node=1 "
            f"--cpus-per-task={PLAN.threads(f'results/{w.experiment}/{w.run}/train')} "
            if "mpi" in resources.keys()
            else ""
        ),
        preflight=lambda w: (
            ""
            if PLAN.config.experiments[w.experiment].preflight
            else "--preflight off"
        ),
    shell:
        "{params.on_each}polar-tools train {input.spec} {params.preflight} > {log} 2>&1"
