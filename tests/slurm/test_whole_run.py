"""The whole DAG through the profile as it stands, in a folder where nothing has been made."""

from pathlib import Path

from tests.slurm.runs import Project, records


def test_a_run_on_the_cluster_makes_the_records_of_one_on_this_machine(fresh_here: Project, finished: Path) -> None:
    fresh_here.run()
    assert records(fresh_here.folder) == records(finished)
    comments = {line.split("|")[4] for line in fresh_here.queue().splitlines()}
    assert {"rule_train_wildcards_say_seed0", "rule_evaluate_wildcards_say_seed0_sayings"} <= comments
    assert not [comment for comment in comments if "mirror" in comment], "compute nodes often have no network"
