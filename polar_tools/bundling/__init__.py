"""Everything that a config needs in one folder, from which it runs where there is no network."""
