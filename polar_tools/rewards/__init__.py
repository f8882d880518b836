"""One small judge a file: completions in, a number for each out."""
