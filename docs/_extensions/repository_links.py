"""Makes the links of a code forge work in the site, without a word changed in the pages.

On a forge a page links to files of the repository, `../../dirs_agents/dirs.py` or
`../CHANGELOG.md`, and names code in backquotes. In the site the first leads to the highlighted
source, the second to the page that shows the file, and a name of ours to its place in the API
reference. A link that shows the name of a Markdown file shows the page's title instead. What is
none of these, data for example, is copied and can be downloaded.
"""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

from api_pages import public_name
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.typing import ExtensionMetadata


def resolved(name: str) -> Any:
    """Return what a dotted name stands for; raises LookupError where that is nothing."""
    parts = name.split(".")
    for split in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:split]))
        except ImportError:
            continue
        for part in parts[split:]:
            if not hasattr(found, part):
                raise LookupError(name)
            found = getattr(found, part)
        return found
    raise LookupError(name)


def documented_name(name: str) -> str:
    """Return the name under which the reference documents what `name` stands for.

    Raises
    ------
    LookupError
        Where the name stands for nothing.
    """
    thing = resolved(name)
    owner, _, last = name.rpartition(".")
    if owner and inspect.isclass(holder := resolved(owner)):
        return f"{documented_name(f'{holder.__module__}.{holder.__qualname__}')}.{last}"
    if (inspect.isclass(thing) or inspect.isfunction(thing)) and thing.__qualname__ == last:
        return public_name(thing.__module__, last)
    return name


class LinksToFiles(SphinxTransform):
    """Turns links to files outside the pages into links to pages that show them."""

    default_priority = 400

    def apply(self, **kwargs: Any) -> None:
        """Replace the nodes."""
        for node in list(self.document.findall(addnodes.download_reference)):
            self.redirect(node, self.env.relfn2path(node["reftarget"], self.env.docname)[1])
        for node in list(self.document.findall(addnodes.pending_xref)):
            if node["reftype"] != "myst":
                continue
            if node.astext().endswith(".md"):
                node["refexplicit"] = False  # its title says more than the name of a file
            # MyST takes every Markdown file for a page and drops its suffix.
            if Path(node["reftarget"]).is_absolute():
                self.redirect(node, f"{node['reftarget']}.md")

    def redirect(self, node: nodes.Element, path: str) -> None:
        """Replace the link by one to what shows the file, if anything does."""
        root = Path(self.env.srcdir).resolve().parent
        file = Path(path).resolve()
        if not file.is_relative_to(root):
            return
        name = file.relative_to(root)
        page = self.config.pages_of_files.get(name.as_posix())
        if page:
            replace(node, "std", "doc", f"/{page}")
        elif name.suffix == ".py" and name.parts[0] in self.config.api_packages:
            replace(node, "", "source", name.with_suffix("").as_posix())


def replace(node: nodes.Element, domain: str, kind: str, target: str) -> None:
    """Put a reference in a link's place."""
    link = addnodes.pending_xref(
        "",
        *node.children,
        refdomain=domain,
        reftype=kind,
        reftarget=target,
        refdoc=node["refdoc"],
        refexplicit=node["refexplicit"],
        refwarn=True,
    )
    link.source, link.line = node.source, node.line
    node.replace_self(link)


class NamesOfCode(SphinxPostTransform):
    """Links a name of ours in backquotes to its place in the reference."""

    default_priority = 5  # before references are resolved

    def run(self, **kwargs: Any) -> None:
        """Wrap the literals in references."""
        packages = "|".join(self.config.api_packages)
        pattern = re.compile(rf"(?:{packages})(?:\.\w+)+")
        for node in list(self.document.findall(nodes.literal)):
            name = node.astext()
            linked = isinstance(node.parent, (addnodes.pending_xref, nodes.reference))
            if linked or not pattern.fullmatch(name):
                continue
            try:
                target = documented_name(name)
            except LookupError:
                continue
            link = addnodes.pending_xref(
                "",
                refdomain="py",
                reftype="obj",
                reftarget=target,
                refdoc=self.env.docname,
                refexplicit=True,
                refwarn=False,
            )
            node.replace_self(link)
            link += node


def source_page(
    app: Sphinx, env: Any, node: addnodes.pending_xref, content: nodes.Element
) -> nodes.reference | None:
    """Resolve a link to a module's highlighted source."""
    if node["reftype"] != "source":
        return None
    uri = app.builder.get_relative_uri(node["refdoc"], f"_modules/{node['reftarget']}")
    return nodes.reference("", "", content, internal=True, refuri=uri)


def name_in_its_module(
    app: Sphinx, env: Any, node: addnodes.pending_xref, content: nodes.Element
) -> nodes.reference | None:
    """Resolve a role that names an object as its module does.

    A docstring says :func:`price` for its neighbour, or `mec_gym.optimum.Optimum` where the
    reference says `mec_gym.Optimum`.
    """
    if node.get("refdomain") != "py":
        return None
    domain = env.domains["py"]
    module = node["refdoc"].rpartition("/")[2]  # of the page, which is named after it
    for name in (node["reftarget"], f"{module}.{node['reftarget']}"):
        try:
            target = documented_name(name)
        except LookupError:
            continue
        found = domain.resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, content)
        if found is not None:
            return found
    return None


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the transforms and resolvers."""
    app.add_config_value("pages_of_files", {}, "env")
    app.add_transform(LinksToFiles)
    app.add_post_transform(NamesOfCode)
    app.connect("missing-reference", source_page)
    app.connect("missing-reference", name_in_its_module)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
