"""What the documentation shows is true: commands run, configs are valid, links lead somewhere, pictures are there."""
