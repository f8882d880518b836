"""What lies on disk is sent to trackers: while a training runs, at its end, or whenever `polar-tools track --replay` is run."""
