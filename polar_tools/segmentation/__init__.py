"""Ways to cut a text into the tokens that metrics count: one a file."""
