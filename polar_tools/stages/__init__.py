"""One file a stage of the DAG, all of one shape: run(spec, folder) -> Facts."""
