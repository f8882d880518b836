"""Trackers: one file each. See base.py."""
