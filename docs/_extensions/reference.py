"""The API reference, made of what users type, and links into it from every page.

Each package gets two pages in `api/generated`: its public names, and what else the pages name, in
backquotes or as an import of a snippet. Nothing else is part of the reference. An object stands
under its shortest public name: `mec_gym.Scenario`, not `mec_gym.scenario.Scenario`.

Pages read well on a code forge as they are: names of code in backquotes become links into the
reference, and links to files outside of `docs` lead to the page that shows the file.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.typing import ExtensionMetadata

FOLDER = "api/generated"

# -- names ----------------------------------------------------------------------------------------


def found(name: str) -> tuple[str, list[str], Any]:
    """Return module, path in it and thing that a dotted name stands for, or raise LookupError.

    Where a package has a function and a module of one name, what follows it is in the module.
    """
    module, *rest = name.split(".")
    try:
        thing: Any = importlib.import_module(module)
    except (ImportError, ValueError):  # a neighbour's bare name; nothing
        raise LookupError(name) from None
    path: list[str] = []
    for place, part in enumerate(rest, start=1):
        inner = getattr(thing, part, None)
        last = place == len(rest)
        if not path and (inner is None or not (last or inspect.isclass(inner))):
            try:
                thing = importlib.import_module(f"{module}.{part}")
            except ImportError:
                pass
            else:
                module = f"{module}.{part}"
                continue
        if inner is None:
            raise LookupError(name)
        if inspect.ismodule(inner):
            module = inner.__name__
        else:
            path.append(part)
        thing = inner
    return module, path, thing


def documented_name(name: str) -> str:
    """Return the name under which the reference has what a dotted name stands for."""
    module, path, _ = found(name)
    if not path:
        return name
    thing = getattr(importlib.import_module(module), path[0])
    if inspect.isclass(thing) or inspect.isfunction(thing):
        module, path[0] = thing.__module__, thing.__name__
    packages = module.split(".")
    for depth in range(1, len(packages)):
        package = importlib.import_module(".".join(packages[:depth]))
        exported = path[0] in getattr(package, "__all__", ())
        if exported and getattr(package, path[0]) is thing:
            module = package.__name__
            break
    return ".".join([module, *path])


def named_in_pages(source: Path, packages: list[str]) -> Iterator[str]:
    """Yield the objects of ours that pages name in backquotes or import in a snippet."""
    ours = rf"(?:{'|'.join(packages)})"
    for page in sorted(source.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        yield from re.findall(rf"`({ours}(?:\.\w+)+)`", text)
        for module, names in re.findall(rf"^from ({ours}[\w.]*) import ([\w, ]+)$", text, re.M):
            yield from (f"{module}.{name}" for name in names.split(", "))


# -- pages ----------------------------------------------------------------------------------------


def summary(name: str) -> str:
    """Return the first sentence of an object's docstring."""
    return " ".join((docstring(name).split("\n\n")[0]).split())


def docstring(name: str) -> str:
    """Return an object's docstring; of a constant, what stands after it in its module."""
    module, path, thing = found(name)
    if not path or inspect.isclass(thing) or inspect.isfunction(thing):
        return inspect.getdoc(thing) or ""
    for owner in (module, *(m for m in sys.modules if m.startswith(f"{module}."))):
        if getattr(importlib.import_module(owner), path[0], None) is thing:
            comments = ModuleAnalyzer.for_module(owner)
            comments.analyze()
            if ("", path[0]) in comments.attr_docs:
                return "\n".join(comments.attr_docs["", path[0]])
    return ""


def block(name: str, elsewhere: dict[str, str]) -> str:
    """Return the directive that documents an object, or a link to the page that does."""
    if name in elsewhere:
        return f":py:class:`{name}` has a :doc:`page of its own </{elsewhere[name]}>`.\n"
    module, path, thing = found(name)
    if inspect.isfunction(thing):
        return f".. autofunction:: {name}\n"
    if not inspect.isclass(thing):
        value = repr(thing)
        shown = f"   :value: {value}\n" if len(value) < 100 else ""
        text = textwrap.indent(docstring(name), "   ")
        return f".. py:data:: {path[0]}\n   :module: {module}\n{shown}\n{text}\n"
    ours = name.partition(".")[0]
    others = sorted({b.__name__ for b in thing.__mro__ if b.__module__.partition(".")[0] != ours})
    bases = "" if thing.__bases__ == (object,) else "   :show-inheritance:\n"
    inherited = f"   :inherited-members: {', '.join(others)}\n"
    return f".. autoclass:: {name}\n   :members:\n{inherited}{bases}"


def heading(text: str, line: str) -> str:
    """Return a heading; the underscores of a name are no markup."""
    escaped = text.replace("_", r"\_")
    return f"{escaped}\n{line * len(escaped)}\n"


def package_page(package: str, more: bool, elsewhere: dict[str, str]) -> str:
    """Return the page of a package's public names: a table of them, then each."""
    names = [f"{package}.{name}" for name in importlib.import_module(package).__all__]
    rows = "".join(f"   * - :py:obj:`{n} <{n}>`\n     - {summary(n)}\n" for n in names)
    tree = f".. toctree::\n   :hidden:\n\n   More of {package} <{package}-more>\n" if more else ""
    table = f".. list-table::\n   :widths: 35 65\n\n{rows}"
    head = [heading(package, "="), f".. automodule:: {package}\n", table, tree]
    return "\n".join([*head, *(block(name, elsewhere) for name in names)])


def further_page(package: str, modules: dict[str, list[str]], elsewhere: dict[str, str]) -> str:
    """Return the page of what the guides name beside the public names, module by module."""
    exported = importlib.import_module(package).__all__
    text = [heading(f"More of {package}", "="), "What the pages name beside the public names.\n"]
    for module, names in sorted(modules.items()):
        # `baselines.random` is a function of that name, too: it has the name in the index.
        hidden = "   :no-index:\n" if module.rpartition(".")[2] in exported else ""
        text += [heading(module, "-"), f".. automodule:: {module}\n{hidden}"]
        text += [block(name, elsewhere) for name in names]
    return "\n".join(text)


def pages(app: Sphinx) -> Iterator[tuple[str, str]]:
    """Yield the name and text of every page of the reference."""
    packages, elsewhere = app.config.api_packages, app.config.api_elsewhere
    further: dict[str, dict[str, list[str]]] = {package: {} for package in packages}
    for name in dict.fromkeys(named_in_pages(Path(app.srcdir), packages)):
        try:
            module, path, _ = found(documented_name(name))
        except LookupError:
            continue  # a file of a folder, perhaps; tests look for names that went
        if module not in packages:
            names = further[module.partition(".")[0]].setdefault(module, [])
            if path and f"{module}.{path[0]}" not in names:
                names.append(f"{module}.{path[0]}")
    for package, modules in further.items():
        yield f"{package}.rst", package_page(package, bool(modules), elsewhere)
        if modules:
            yield f"{package}-more.rst", further_page(package, modules, elsewhere)


def write_pages(app: Sphinx) -> None:
    """Bring the folder up to date; a page that stays as it was is not touched."""
    folder = Path(app.srcdir) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    wanted = dict(pages(app))
    for old in folder.rglob("*.rst"):
        if old.name not in wanted:
            old.unlink()
    for name, text in wanted.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def leave_out(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Drop the docstring of what has a page of its own: the page says it."""
    if name in app.config.api_elsewhere:
        del lines[:]


def note_home(app: Sphinx, doctree: nodes.document) -> None:
    """Give what stands under a public name an anchor under its module's name, too.

    `viewcode` runs after this; it links the source of a module to anchors of that module's name.
    """
    for signature in doctree.findall(addnodes.desc_signature):
        if not signature.get("module") or not signature.get("fullname"):
            continue
        owner = importlib.import_module(signature["module"])
        thing = getattr(owner, signature["fullname"].partition(".")[0], None)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            signature["module"] = thing.__module__
            anchor = f"{thing.__module__}.{signature['fullname']}"
            if anchor not in signature["ids"]:
                signature["ids"].append(anchor)


# -- links ----------------------------------------------------------------------------------------


class LinksToFiles(SphinxTransform):
    """Leads links to files that a page shows, such as `../CHANGELOG.md`, to the page."""

    default_priority = 400

    def apply(self, **kwargs: Any) -> None:
        """Replace the nodes."""
        for node in list(self.document.findall(addnodes.pending_xref)):
            if node["reftype"] != "myst":
                continue
            if node.astext().endswith(".md"):
                node["refexplicit"] = False  # the title says more than the name of a file
            # MyST takes every Markdown file for a page and drops its suffix.
            path = Path(f"{node['reftarget']}.md")
            root = Path(self.env.srcdir).resolve().parent
            if path.is_absolute() and path.resolve().is_relative_to(root):
                page = self.config.pages_of_files.get(path.resolve().relative_to(root).as_posix())
                if page:
                    node.replace_self(reference(node, "std", "doc", f"/{page}"))


class NamesOfCode(SphinxPostTransform):
    """Links a name of ours in backquotes to its place in the reference."""

    default_priority = 5  # before references are resolved

    def run(self, **kwargs: Any) -> None:
        """Wrap the literals in references."""
        pattern = re.compile(rf"(?:{'|'.join(self.config.api_packages)})(?:\.\w+)+")
        for node in list(self.document.findall(nodes.literal)):
            linked = isinstance(node.parent, (addnodes.pending_xref, nodes.reference))
            if linked or not pattern.fullmatch(node.astext()):
                continue
            try:
                target = documented_name(node.astext())
            except LookupError:
                continue
            link = reference(node, "py", "obj", target, refdoc=self.env.docname)
            node.replace_self(link)
            link += node


def reference(
    node: nodes.Element, domain: str, kind: str, target: str, **more: Any
) -> addnodes.pending_xref:
    """Return a reference to put in a node's place; it takes over what a link holds."""
    link = addnodes.pending_xref(
        "",
        *(node.children if isinstance(node, addnodes.pending_xref) else ()),
        refdomain=domain,
        reftype=kind,
        reftarget=target,
        refdoc=more.get("refdoc") or node["refdoc"],
        refexplicit=node.get("refexplicit", True),
        refwarn=domain == "std",
    )
    link.source, link.line = node.source, node.line
    return link


def name_in_its_module(
    app: Sphinx, env: Any, node: addnodes.pending_xref, content: nodes.Element
) -> nodes.Element | None:
    """Resolve a role that names an object as its module does, :func:`price` for a neighbour.

    What exists and is no part of the reference stays plain; what does not exist is a warning.
    """
    if node.get("refdomain") != "py":
        return None
    around = node.parent
    while around is not None and not isinstance(around, addnodes.desc):
        around = around.parent
    modules = [around[0].get("module") if around is not None else None, node.get("py:module")]
    target = node["reftarget"]
    for name in (target, *(f"{module}.{target}" for module in modules if module)):
        try:
            target = documented_name(name)
        except LookupError:
            continue
        link: nodes.Element | None = env.domains["py"].resolve_xref(
            env, node["refdoc"], app.builder, "obj", target, node, content
        )
        ours = name.partition(".")[0] in app.config.api_packages
        if link is not None or ours:
            return link if link is not None else content
    return None


def setup(app: Sphinx) -> ExtensionMetadata:
    """Write the pages before Sphinx looks for documents; register transforms and resolvers."""
    app.add_config_value("api_packages", [], "env")
    app.add_config_value("api_elsewhere", {}, "env")
    app.add_config_value("pages_of_files", {}, "env")
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-process-docstring", leave_out, priority=100)
    app.connect("doctree-read", note_home, priority=400)
    app.add_transform(LinksToFiles)
    app.add_post_transform(NamesOfCode)
    app.connect("missing-reference", name_in_its_module)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
