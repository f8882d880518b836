"""The fields that every experiment has, by topic. `methods/base.py` puts them together."""
