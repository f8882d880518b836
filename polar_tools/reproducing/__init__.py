"""Make a published result once more, from its own records, and say how far it is the same."""
