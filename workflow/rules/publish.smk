# Compute nodes often have no network, so this runs where Snakemake does.
localrules:
    publish,


rule publish:
    input:
        spec="results/publish/{publication}/spec.json",
        parts=lambda w: PLAN.inputs(f"results/publish/{w.publication}"),
    output:
        "results/publish/{publication}/manifest.json",
    log:
        "logs/publish/{publication}.log",
    benchmark:
        "benchmarks/publish/{publication}.tsv"
    resources:
        **JOBS.of("publish", "results/publish/{publication}"),
    shell:
        "polar-tools publish {input.spec} > {log} 2>&1"
