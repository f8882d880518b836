"""Which artifacts a config asks for, section by section: where each lies, and the spec that its tool reads."""
