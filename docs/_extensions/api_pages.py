"""Writes the pages of the API reference: one for every package, one for every module.

A package's page lists its public names and its modules. A module's page documents what the module
defines, each object once and under its shortest public name (`mec_gym.Scenario`, not
`mec_gym.scenario.Scenario`). Nothing is listed by hand, so nothing can be forgotten. The pages go
to `api/generated`, which git ignores; pages of modules that are gone are removed.
"""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.typing import ExtensionMetadata

FOLDER = "api/generated"


@dataclass(frozen=True)
class Entry:
    """What a module defines, under its public name."""

    name: str
    directive: str
    docstring: str
    thing: Any

    @property
    def summary(self) -> str:
        """The first sentence of the docstring."""
        return first_sentence(self.docstring)


def modules_of(package: str) -> Iterator[ModuleType]:
    """Import a package and all public modules in it, the package first."""
    root = importlib.import_module(package)
    yield root
    for found in pkgutil.walk_packages(root.__path__, prefix=f"{package}."):
        if not any(part.startswith("_") for part in found.name.split(".")):
            yield importlib.import_module(found.name)


def public_name(module: str, name: str) -> str:
    """Return the name under which the outermost package exports what a module defines.

    Where no package does, that is the name in the module.
    """
    thing = getattr(importlib.import_module(module), name)
    parts = module.split(".")
    for depth in range(1, len(parts)):
        package = importlib.import_module(".".join(parts[:depth]))
        if name in getattr(package, "__all__", ()) and getattr(package, name) is thing:
            return f"{package.__name__}.{name}"
    return f"{module}.{name}"


def first_sentence(docstring: str) -> str:
    """Return the first paragraph of a docstring as one line."""
    return " ".join(inspect.cleandoc(docstring).split("\n\n")[0].split())


def entry_of(module: ModuleType, name: str, comment: str | None) -> Entry | None:
    """Return the entry of a name that a module binds; None if it is no part of the reference.

    A class or function counts where it is defined, a constant where a docstring follows it.
    """
    thing = getattr(module, name)
    public = public_name(module.__name__, name)
    if comment is not None:
        return Entry(public, "py:data", comment, thing)
    if not (inspect.isclass(thing) or inspect.isfunction(thing)):
        return None
    if thing.__module__ != module.__name__:
        return None
    directive = "autoclass" if inspect.isclass(thing) else "autofunction"
    return Entry(public, directive, thing.__doc__ or "", thing)


def entries_of(module: ModuleType) -> list[Entry]:
    """Return what a module defines for others, in the order of its source."""
    analyzer = ModuleAnalyzer.for_module(module.__name__)
    analyzer.analyze()
    comments = {n: "\n".join(text) for (owner, n), text in analyzer.attr_docs.items() if not owner}
    order = sorted(analyzer.tagorder, key=analyzer.tagorder.__getitem__)
    names = [name for name in order if not name.startswith("_") and name in vars(module)]
    entries = [entry_of(module, name, comments.get(name)) for name in names]
    return [entry for entry in entries if entry]


def heading(text: str, line: str = "=") -> str:
    """Return a heading; the underscores of a name are no markup."""
    escaped = text.replace("_", r"\_")
    return f"{escaped}\n{line * len(escaped)}\n"


def table(rows: list[tuple[str, str]]) -> str:
    """Return a table of two columns."""
    lines = [f"   * - {name}\n     - {summary}\n" for name, summary in rows]
    return ".. list-table::\n   :widths: 35 65\n\n" + "".join(lines)


def is_ours(thing: type, package: str) -> bool:
    """Say whether a class belongs to a package: what it passes on is worth listing again."""
    return thing.__module__.partition(".")[0] == package


def constant(entry: Entry) -> str:
    """Return the directive of a constant, with its value where that is short."""
    owner, _, name = entry.name.rpartition(".")
    value = repr(entry.thing)
    shown = f"   :value: {value}\n" if len(value) < 100 else ""
    text = textwrap.indent(inspect.cleandoc(entry.docstring), "   ")
    return f".. py:data:: {name}\n   :module: {owner}\n{shown}\n{text}\n"


def block(entry: Entry, elsewhere: dict[str, str]) -> str:
    """Return the directive that documents an entry, or a link to the page that does."""
    if entry.name in elsewhere:
        return (
            f":py:class:`{entry.name}` has a :doc:`page of its own </{elsewhere[entry.name]}>`.\n"
        )
    if entry.directive == "py:data":
        return constant(entry)
    if entry.directive == "autofunction":
        return f".. autofunction:: {entry.name}\n"
    package = entry.name.partition(".")[0]
    others = {base.__name__ for base in entry.thing.__mro__ if not is_ours(base, package)}
    bases = "" if entry.thing.__bases__ == (object,) else "   :show-inheritance:\n"
    inherited = f"   :inherited-members: {', '.join(sorted(others))}\n"
    return f".. autoclass:: {entry.name}\n   :members:\n{inherited}{bases}"


def module_page(
    module: ModuleType, entries: list[Entry], public: set[str], elsewhere: dict[str, str]
) -> str:
    """Return the page of a module.

    Where a function is exported under the name of its module (`baselines.random`), the name is
    the function's.
    """
    option = "   :no-index:\n" if module.__name__ in public else ""
    head = [heading(module.__name__), f".. automodule:: {module.__name__}\n{option}"]
    return "\n".join([*head, *(block(entry, elsewhere) for entry in entries)])


def package_page(package: str, contents: dict[ModuleType, list[Entry]]) -> str:
    """Return the page of a package: public names, modules, and the tree of their pages."""
    root = importlib.import_module(package)
    summaries = {entry.name: entry.summary for es in contents.values() for entry in es}
    exported = [
        (f":py:obj:`{name} <{package}.{name}>`", summaries[f"{package}.{name}"])
        for name in root.__all__
    ]
    inside = [
        (f":doc:`{module.__name__} <modules/{module.__name__}>`", first_sentence(module.__doc__))
        for module in contents
        if module.__doc__
    ]
    paths = [module.__name__ for module in contents]
    tree = "".join(f"   {path.removeprefix(f'{package}.')} <modules/{path}>\n" for path in paths)
    return "\n".join(
        [
            heading(package),
            f".. automodule:: {package}\n",
            heading("Public names", "-"),
            table(exported),
            heading("All modules", "-"),
            table(inside),
            f".. toctree::\n   :hidden:\n\n{tree}",
        ]
    )


def pages_of(package: str, elsewhere: dict[str, str]) -> dict[str, str]:
    """Return the pages of a package: path below the folder -> text."""
    contents = {module: entries_of(module) for module in modules_of(package)}
    contents = {module: entries for module, entries in contents.items() if entries}
    public = {entry.name for entries in contents.values() for entry in entries}
    pages = {f"{package}.rst": package_page(package, contents)}
    for module, entries in contents.items():
        pages[f"modules/{module.__name__}.rst"] = module_page(module, entries, public, elsewhere)
    return pages


def write_pages(app: Sphinx) -> None:
    """Bring the folder up to date; a page that stays as it was is not touched."""
    folder = Path(app.srcdir) / FOLDER
    pages: dict[str, str] = {}
    for package in app.config.api_packages:
        pages |= pages_of(package, app.config.api_elsewhere)
    for old in folder.rglob("*.rst"):
        if old.relative_to(folder).as_posix() not in pages:
            old.unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Renamed into place: another build beside this one never reads half a page.
            draft = path.with_suffix(f".{os.getpid()}")
            draft.write_text(text, encoding="utf-8")
            draft.replace(path)


def note_home(app: Sphinx, doctree: nodes.document) -> None:
    """Give what is documented under a public name an anchor under its module's name, too.

    `viewcode` runs after this. It links the source of a module to anchors of that module's name.
    """
    for signature in doctree.findall(addnodes.desc_signature):
        full_name = signature.get("fullname")
        if not signature.get("module") or not full_name:
            continue
        owner = importlib.import_module(signature["module"])
        thing = getattr(owner, full_name.partition(".")[0], None)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            signature["module"] = thing.__module__
            anchor = f"{thing.__module__}.{full_name}"
            if anchor not in signature["ids"]:
                signature["ids"].append(anchor)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Write the pages before Sphinx looks for documents."""
    app.add_config_value("api_packages", [], "env")
    app.add_config_value("api_elsewhere", {}, "env")
    app.connect("builder-inited", write_pages)
    app.connect("doctree-read", note_home, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
