"""Configurations of other programs, one file each: what their names mean here."""
