"""Makes a site of pages that are written for the forge. It is a hook of MkDocs: docs/developers/site.md.

On the forge, pages link to files outside `docs`. Here `README.md`, `CHANGELOG.md` and `CONTRIBUTING.md` become pages,
and each folder of examples becomes a page with its files. Links to them are adapted.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

_ROOT = Path(__file__).parents[2]
#: Files outside `docs`, and where they are on the site.
_PAGES = {
    "README.md": "overview.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "LICENSE": "license.txt",
}
_README = "README.md"
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE_BLOCK = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
#: How the files of examples are shown. Others are plain text.
_LANGUAGES = {".json": "json", ".py": "python", ".sh": "bash", ".toml": "toml", ".yaml": "yaml", ".yml": "yaml"}
#: Longer files can only be downloaded.
_MOST_LINES = 200


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is not in `docs`."""
    for source, name in _PAGES.items():
        files.append(File.generated(config, name, content=(_ROOT / source).read_text(encoding="utf-8")))
    for folder in _example_folders():
        name = folder.relative_to(_ROOT).as_posix()
        content = "\n".join(_page_of(folder))
        files.append(File.generated(config, f"{name}.md", content=content, inclusion=InclusionLevel.NOT_IN_NAV))
        for path in _files_of(folder):
            files.append(File.generated(config, path.relative_to(_ROOT).as_posix() + ".txt", content=path.read_bytes()))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001  # by name
    """Adapt links that lead out of `docs`, and the links of pages that are not in `docs`."""
    here = page.file.src_uri
    source = next((name for name, of_site in _PAGES.items() if of_site == here), f"docs/{here}")
    if here.startswith("examples/"):
        return markdown

    return _with_links(markdown, posixpath.dirname(source), here)


def _with_links(markdown: str, folder: str, here: str) -> str:
    def adapt(found: re.Match[str]) -> str:
        return f"]({_adapted(found[1], folder, here)})"

    return _outside_code(markdown, lambda text: _LINK.sub(adapt, text))


def _adapted(target: str, folder: str, here: str) -> str:
    """A link of the forge as a link of the site.

    Args:
        target: the link, relative to the folder.
        folder: where its page is in the repository.
        here: where its page is on the site.
    """
    path, hash_sign, anchor = target.partition("#")
    if re.match(r"[a-z]+:", target) or not path:
        return target
    wanted = posixpath.normpath(posixpath.join(folder, path))
    there = _on_site(wanted)
    if not anchor and there.startswith("examples/") and (_ROOT / wanted).is_file():
        in_folder = wanted.removeprefix(there.removesuffix(".md") + "/")
        if in_folder != _README:
            hash_sign, anchor = "#", re.sub(r"[^\w\- ]", "", in_folder.lower())
    return posixpath.relpath(there, posixpath.dirname(here) or ".") + hash_sign + anchor


def _on_site(path: str) -> str:
    """Where a file of the repository is on the site. A file that is nowhere keeps its path, and MkDocs reports it."""
    if path in _PAGES:
        return _PAGES[path]
    for folder in _example_folders():
        name = folder.relative_to(_ROOT).as_posix()
        if path == name or path.startswith(f"{name}/"):
            return f"{name}.md"
    return path.removeprefix("docs/")


def _example_folders() -> Iterator[Path]:
    for folder in sorted((_ROOT / "examples").iterdir()):
        if folder.name == "deploy":
            yield from (each for each in sorted(folder.iterdir()) if each.is_dir())
        elif folder.is_dir():
            yield folder


def _files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def _page_of(folder: Path) -> Iterator[str]:
    name = folder.relative_to(_ROOT).as_posix()
    readme = folder / _README
    if readme.exists():
        yield _with_links(readme.read_text(encoding="utf-8"), name, f"{name}.md")
    else:
        yield f"# {name}\n"
    for path in _files_of(folder):
        if path == readme:
            continue
        text = path.read_text(encoding="utf-8")
        yield f"## {path.relative_to(folder).as_posix()}\n"
        if len(text.splitlines()) > _MOST_LINES or path.suffix == ".md":
            yield f"[Download]({path.relative_to(folder.parent).as_posix()}.txt)\n"
        else:
            yield f"````{_LANGUAGES.get(path.suffix, 'text')}\n{text.rstrip()}\n````\n"


def _outside_code(markdown: str, change: Callable[[str], str]) -> str:
    parts, at = list[str](), 0
    for block in _CODE_BLOCK.finditer(markdown):
        parts += [change(markdown[at : block.start()]), block[0]]
        at = block.end()
    return "".join((*parts, change(markdown[at:])))
