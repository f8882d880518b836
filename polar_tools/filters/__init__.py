"""One small pure function a file: table in, table out."""
