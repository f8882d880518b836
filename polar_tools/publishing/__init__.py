"""Publish: put together what leaves this machine, sign it, send it, and look whether it is still what it claims to be."""
