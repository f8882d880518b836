"""The whole tree of our errors; every message says what the user can do.

Exit statuses: 2 is the person's mistake, 1 is the world's, 75 (EX_TEMPFAIL) asks for the same command again.
"""


class PolarError(Exception):
    """Base of every error that ends a command with one readable message."""

    exit_status = 1


class UserError(PolarError):
    """What the person wrote cannot be carried out."""

    exit_status = 2


class ConfigError(UserError):
    """The config file is not valid; the message lists every place."""


class DataError(UserError):
    """The data is not what the config says it is."""


class RowError(DataError):
    """One row is not what it must be; `place` is its position among those that were given, for whoever knows its number in the data."""

    def __init__(self, place: int, message: str) -> None:
        super().__init__(message)
        self.place = place


class GateError(UserError):
    """What would be published may not leave this machine; nothing was sent."""


class PreflightError(UserError):
    """What would be trained is not what was asked for."""


class WorldError(PolarError):
    """The world outside failed: network, disk, a remote store."""


class StorageError(WorldError):
    """A store could not be read or written."""


class IntegrityError(WorldError):
    """Bytes are not those that were promised."""


class UnfinishedError(PolarError):
    """Work was interrupted and saved; the same command goes on."""

    exit_status = 75


def first_line(error: Exception) -> str:
    """What an error of a library says first; the rest is seldom for people."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
