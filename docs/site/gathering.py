"""The pages of one language in one folder, with the files of the repository that they link to: what mkdocs can make a site of."""

import posixpath
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
KOREAN = ".ko.md"
OUTSIDE = "repository"
"""The folder of the site in which files lie that stand outside docs/."""
UNTRANSLATED = '!!! info "이 페이지는 아직 한국어로 옮기지 않았습니다. 영어 원문을 보여 드립니다."\n\n'
ALWAYS = ("CHANGELOG.md", "CONTRIBUTING.md", "config/README.md")
"""Pages of it that no other page need link to."""
LEXERS = {".smk": "python", "": "text", ".def": "bash", ".sh": "bash"}

_LINK = re.compile(r"(\]\(|<img src=\")([^)\s\"]+)")
_BARE = re.compile(r"\[[\w./-]+\.md\]\(([^)#\s]+\.md)\)")
"""A link whose text is a file's name, as is usual where files are read as they are."""
_FENCE = re.compile(r"^[ \t]*(```+|~~~+)")


def gather(folder: Path, language: str) -> None:
    """Write all pages of `language` ("en" or "ko"), and what they link to, into `folder`, which is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("pictures", "site"):
        shutil.copytree(REPOSITORY / "docs" / name, folder / name, ignore=shutil.ignore_patterns("*.py", "*.yml", "__pycache__"))
    waiting = [*ALWAYS, *(f"docs/{page.name}" for page in pages())]
    known = set(waiting)
    while waiting:
        source = waiting.pop()
        text, linked = _page(source, language)
        target = folder / place(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        waiting += sorted(linked - known)
        known |= linked


def pages() -> list[Path]:
    """The English pages of docs/."""
    return sorted(page for page in (REPOSITORY / "docs").glob("*.md") if not page.name.endswith(KOREAN))


def place(source: str) -> str:
    """Where a file of the repository, or a folder, stands among the pages."""
    if source.startswith("docs/pictures/"):
        return source.removeprefix("docs/")
    if source.startswith("docs/") and source.endswith(".md"):
        return source.removeprefix("docs/")
    if source in ("README.md", "README.ko.md"):
        return "index.md"
    return posixpath.join(OUTSIDE, source if source.endswith(".md") else f"{source}.md")


def _page(source: str, language: str) -> tuple[str, set[str]]:
    """The text of the page that shows `source`, and the files and folders that must be shown for its links."""
    path = REPOSITORY / source
    if path.is_dir():
        text, origin = _listing(path), source
    elif path.suffix != ".md":
        return _code(path, source), set()
    else:
        translated = path.with_name(path.name.removesuffix(".md") + KOREAN)
        shown = translated if language == "ko" and translated.is_file() else path
        note = UNTRANSLATED if language == "ko" and shown == path and source.startswith("docs/") else ""
        text, origin = _with_note(shown.read_text(encoding="utf-8"), note), posixpath.dirname(source)
    linked: set[str] = set()
    text = _BARE.sub(lambda found: f"[{title(posixpath.join(origin, found[1]), language)}]({found[1]})", text)
    return _relinked(text, lambda address: _site_link(address, origin, place(source), linked)), linked


def title(source: str, language: str) -> str:
    """What a page is called, in `language` where there is such a text."""
    path = REPOSITORY / posixpath.normpath(source)
    translated = path.with_name(path.name.removesuffix(".md") + KOREAN)
    shown = translated if language == "ko" and translated.is_file() else path
    found = re.search(r"^# (.+)$", shown.read_text(encoding="utf-8"), re.MULTILINE) if shown.is_file() else None
    return found[1] if found else path.name


def _with_note(text: str, note: str) -> str:
    """`text` with a note below its title."""
    title, line, rest = text.partition("\n")
    return f"{title}{line}\n{note}{rest}" if note else text


def _site_link(address: str, origin: str, page: str, linked: set[str]) -> str:
    """A link of a file in the folder `origin` as the page `page` must write it; what it leads to goes into `linked`."""
    path, mark, anchor = address.partition("#")
    if not path or re.match(r"[a-z]+:", path):
        return address
    source = posixpath.normpath(posixpath.join(origin, path))
    source = source.removesuffix(KOREAN) + ".md" if source.endswith(KOREAN) else source
    if (REPOSITORY / source).is_dir() and (REPOSITORY / source / "README.md").is_file():
        source = f"{source}/README.md"
    if not (REPOSITORY / source).exists():
        return address  # mkdocs says where it is
    if not source.startswith("docs/pictures/") and place(source) != "index.md":
        linked.add(source)
    return posixpath.relpath(place(source), posixpath.dirname(page) or ".") + mark + anchor


def _relinked(text: str, link: Callable[[str], str]) -> str:
    """`text` with every link outside of code blocks as `link` makes it."""
    return "\n".join(line if code else _LINK.sub(lambda found: found[1] + link(found[2]), line) for code, line in lines(text))


def lines(text: str) -> Iterator[tuple[bool, str]]:
    """The lines of a page, and of each whether it is part of a code block."""
    fence = ""
    for line in text.split("\n"):
        found = _FENCE.match(line)
        inside = bool(fence)
        if found and not fence:
            fence = found[1]
        elif found and line.strip() == fence:
            fence = ""
        yield inside or bool(fence), line


def _listing(folder: Path) -> str:
    """A page that lists what git would know of a folder, with each file's first comment."""
    files = [path for path in sorted(folder.iterdir()) if not path.name.startswith((".", "__"))]
    items = [f"- [{path.name}]({folder.name}/{path.name})" for path in files]
    return f"# `{folder.relative_to(REPOSITORY).as_posix()}/`\n\n" + "\n".join(items).replace(f"]({folder.name}/", "](") + "\n"


def _code(path: Path, source: str) -> str:
    """A page that shows a file of code or settings."""
    lexer = LEXERS.get(path.suffix, path.suffix.lstrip("."))
    return f"# `{source}`\n\n````{lexer}\n{path.read_text(encoding='utf-8').rstrip()}\n````\n"
