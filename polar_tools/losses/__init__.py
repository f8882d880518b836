"""One file a loss of sentence_transformer, found by its name."""
