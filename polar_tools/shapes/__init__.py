"""One shape of a dataset a file: how its columns are known, and what they become."""
