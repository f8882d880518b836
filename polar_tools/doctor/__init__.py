"""What this machine, or a cluster, can do, and what is missing for a config: each file looks at one subject."""
