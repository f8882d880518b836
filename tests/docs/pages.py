"""Code blocks of the documentation, and the commands in them; `python -m tests.docs.pages` lists those that no test runs."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from tests.tiny import REPOSITORY

FENCE = re.compile(r"^```(?P<language>\w*)(?: title=\"(?P<title>[^\"]*)\")?[^\n]*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = re.compile(r"<!-- not run: (.*?) -->\n+\Z")
COMMENTS = re.compile(r"(?:<!--.*?-->\n+)+\Z")
STATUS = re.compile(r"<!-- exit status: (\d+) -->")
PROMPT = re.compile(r"^(?:[\w-]+)?\$ +")
CONSOLE, SHELL = ("console", ""), ("bash", "sh")
GENERATED = ("docs/cli.md", "docs/faults.md", "config/README.md", "CHANGELOG.md")
"""Pages that are made of what tests and the code say."""
ELSEWHERE = {
    r"--profile slurm|\bsrun\b|\bsinfo\b|\bscontrol\b|NODE_RANK": "needs a cluster",
    r"s3://|minio:|\bdvc\b|make pull|name\.json": "needs a bucket",
    r"hf://|your-name/|microsoft/|reproduce org/|--target \S+/\S+ --private": "needs an account on a Hub",
    r"^make |^python3?\.11 |^python3? -m venv|^git clone|^cd polar$|pip install": "is what sets a clone up; continuous integration does it",
    r"\brsync\b|xdg-open|^cd bundle|sha256sum|^polar-tools bundle|^\. \.venv": "is done elsewhere, or by hand",
    r"127\.0\.0\.1|http://mlflow": "needs a tracker's server",
    r"localhost:|controller\.py|CONTROLLER_TOKEN": "needs the example controller; tests/unit/test_controller.py runs it",
    r"\| jq ": "needs jq",
    r"--follow|--watch": "goes on until it is stopped",
    r"config/examples/|examples/fetch_data\.py|pypi://": "fetches models and rows; `make examples` does it",
}
"""What a command says of itself -> why no test runs it."""


@dataclass(frozen=True)
class Block:
    """A fenced code block, with the line it begins in."""

    page: str
    line: int
    language: str
    title: str | None
    text: str
    before: str
    """The comments right above it."""
    not_run: str | None

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A command as it is typed, continued lines joined, comments left out; `not_run` says why no test runs it."""

    block: Block
    text: str
    not_run: str | None

    @property
    def exit_status(self) -> int:
        """What the page says that it ends with: `<!-- exit status: 2 -->` above the block."""
        said = STATUS.search(self.block.before)
        return int(said[1]) if said else 0

    def parts(self) -> list[list[str]]:
        """The simple commands of it."""
        return simple(self.text)


def every() -> list[str]:
    """The pages that people wrote, from the repository's top."""
    found = [*REPOSITORY.glob("README*.md"), *REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("profiles/*/README.md")]
    names = [path.relative_to(REPOSITORY).as_posix() for path in sorted(found)]
    return [name for name in names if name not in GENERATED]


def text_of(page: str) -> str:
    return (REPOSITORY / page).read_text(encoding="utf-8")


def blocks(page: str, *languages: str) -> list[Block]:
    """The code blocks of a page, or those in some languages."""
    text = text_of(page)
    found = []
    for match in FENCE.finditer(text):
        said = NOT_RUN.search(text[: match.start()])
        line = text[: match.start()].count("\n") + 1
        above = COMMENTS.search(text[: match.start()])
        before = above[0] if above else ""
        found.append(Block(page, line, match["language"], match["title"], match["text"], before, said[1] if said else None))
    return [block for block in found if not languages or block.language in languages]


def commands(page: str) -> list[Command]:
    """What a reader of `page` would type."""
    shown = blocks(page, *CONSOLE, *SHELL)
    return [Command(block, line, block.not_run or _elsewhere(line)) for block in shown for line in _lines(block)]


def simple(text: str) -> list[list[str]]:
    """The simple commands of a line, each as words, without redirections and variables before it."""
    return [words for words in map(_bare, _split(text)) if words]


def _elsewhere(command: str) -> str | None:
    return next((why for pattern, why in ELSEWHERE.items() if re.search(pattern, command)), None)


def _lines(block: Block) -> Iterator[str]:
    """The commands of a block, without what they print."""
    for line in block.text.replace("\\\n", " ").splitlines():
        if block.language in SHELL and line.strip() and not line.startswith("#"):
            yield _without_comment(line)
        elif PROMPT.match(line):
            yield _without_comment(PROMPT.sub("", line))


def _without_comment(line: str) -> str:
    """`line` up to its comment: a `#` behind a blank, outside of quotes."""
    quote = ""
    for place, letter in enumerate(line):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter == "#" and (place == 0 or line[place - 1] == " "):
            return re.sub(" +", " ", line[:place]).strip()
    return line.strip()


def _split(text: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split, words = True, []
    for word in lexer:
        if word in ("|", "&&", "||", ";"):
            yield words
            words = []
        else:
            words.append(word)
    yield words


def _bare(words: list[str]) -> list[str]:
    while words and re.match(r"^[A-Z_]+=", words[0]):
        words = words[1:]
    kept: list[str] = []
    for word in words:
        if word in (">", ">>", "<"):
            return kept
        kept.append(word)
    return kept


if __name__ == "__main__":
    typed = [command for page in every() for command in commands(page)]
    idle = [command for command in typed if command.not_run]
    for command in idle:
        print(f"{command.block.place}: {command.text}\n    {command.not_run}")
    print(f"{len(typed)} commands; {len(typed) - len(idle)} are run, {len(idle)} are only parsed")
