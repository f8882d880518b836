"""Code blocks of the documentation, and the commands in them; `python -m tests.docs.pages` lists those with a test of their own."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from tests.tiny import REPOSITORY

FENCE = re.compile(r"^```(?P<language>\w*)(?: title=\"(?P<title>[^\"]*)\")?[^\n]*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
COMMENTS = re.compile(r"(?:<!--.*?-->\n+)+\Z")
STATUS = re.compile(r"<!-- exit status: (\d+) -->")
PROMPT = re.compile(r"^(?:[\w-]+)?\$ +")
CONSOLE, SHELL = ("console", ""), ("bash", "sh")
GENERATED = ("docs/cli.md", "docs/faults.md", "config/README.md", "CHANGELOG.md")
"""Pages that are made of what tests and the code say."""
ELSEWHERE = {
    r"--profile slurm|\bsrun\b": "tests/slurm/test_pages.py",
    r"NODE_RANK=": "tests/unit/test_distributed.py",
    r"^polar-tools bundle|\brsync\b|^cd bundle|sha256sum": "tests/workflow/test_bundle.py",
    r"^make run|^git clone|^cd polar$": "tests/workflow/test_default_run.py",
    r"^make data|config/examples/shapes": "tests/contract/test_shape_examples.py",
    r"^python3\.11 -m venv|^pip install": "tests/unit/test_init.py",
    r"^polar-tools convert .* --run ": "tests/unit/test_converted_runs.py",
    r"^polar-tools publish .* --follow": "tests/contract/test_publish.py",
    r"compare one:base one": "tests/unit/test_compare.py",
    r"POLAR_CONTROLLER_TOKEN|examples/controller\.py": "tests/unit/test_controller.py",
}
"""What a command says of itself -> the test that does it, for what tests/docs/test_running.py doesn't type in a reader's folder."""


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

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def foreign(self) -> bool:
        """Whether it is what another program reads: `<!-- another program's: NAME -->` stands above it."""
        return "<!-- another program's: " in self.before


@dataclass(frozen=True)
class Command:
    """A command as it is typed, continued lines joined, comments left out."""

    block: Block
    text: str

    @property
    def elsewhere(self) -> str | None:
        """The file of the test that runs it; None where it runs in a reader's folder."""
        return next((test for pattern, test in ELSEWHERE.items() if re.search(pattern, self.text)), None)

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
        line = text[: match.start()].count("\n") + 1
        above = COMMENTS.search(text[: match.start()])
        before = above[0] if above else ""
        found.append(Block(page, line, match["language"], match["title"], match["text"], before))
    return [block for block in found if not languages or block.language in languages]


def commands(page: str) -> list[Command]:
    """What a reader of `page` would type."""
    shown = blocks(page, *CONSOLE, *SHELL)
    return [Command(block, line) for block in shown for line in _lines(block)]


def original(page: str) -> str:
    """The English page of a translation; of another page itself."""
    return page.replace(".ko.md", ".md")


def simple(text: str) -> list[list[str]]:
    """The simple commands of a line, each as words, without redirections and variables before it."""
    return [words for words in map(_bare, _split(text)) if words]


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
    for page in every():
        for command in commands(page):
            if command.elsewhere:
                print(f"{command.block.place}: {command.text}\n    {command.elsewhere}")
