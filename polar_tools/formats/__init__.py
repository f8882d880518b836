"""One file a format: files in, tables of bounded size out."""
