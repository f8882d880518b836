"""What every topic builds on."""

from collections.abc import Sequence

from polar_tools.fields import Frozen


class Topic(Frozen):
    """Some fields of an experiment that belong together."""

    def _needs(self, names: Sequence[str], given: bool, what: str) -> None:
        """Raise ValueError for those of `names` that are given though nothing would read them."""
        idle = [name for name in names if not given and getattr(self, name) != type(self).model_fields[name].default]
        if idle:
            raise ValueError(f"{', '.join(idle)} would be ignored without {what}")
