"""Trackers of the config: do they answer, and do they take the key? None of them ever stops a training, so nothing here is a problem."""

from __future__ import annotations

from collections.abc import Iterator

from polar_tools import discovery
from polar_tools.doctor.base import Asked, Finding
from polar_tools.trackers.base import Door

SECONDS = 10
LATER = "trainings go on without it, and `polar-tools track --replay` sends what it missed"


def look(asked: Asked) -> Iterator[Finding]:
    """Each server that runs would be told to."""
    for options in () if asked.config is None else asked.config.run.trackers:
        door = discovery.load("trackers", options.tracker).door(options)
        if door is not None:
            level, said = _knocked(door)
            yield Finding(options.tracker, "good" if level else "note", said if level else f"{said}; {LATER}")


def _knocked(door: Door) -> tuple[bool, str]:
    """Whether a server answers somebody who asks as a run would, and in words."""
    import requests

    try:
        answer = requests.get(door.address, auth=door.who, headers=dict(door.headers), timeout=SECONDS)
    except requests.RequestException as error:
        return False, f"{door.shown} can't be reached ({type(error).__name__})"
    if answer.status_code in (401, 403):
        return False, f"{door.shown} {'refuses the key' if door.who or door.headers else 'wants a key'}: {door.keys}"
    if answer.status_code >= 500:
        return False, f"{door.shown} answers with status {answer.status_code}"
    return True, f"{door.shown} answers{' and takes the key' if door.who or door.headers else ''}"
