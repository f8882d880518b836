"""One small pure function a file: predictions in, numbers out."""
