"""Training loops that no library has, behind the same trainer interface."""
