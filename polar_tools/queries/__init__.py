"""Questions to the records of a project: what came of what, what moved on, what would run and why, how two results differ."""
