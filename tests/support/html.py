"""Pages of HTML, read with the standard library."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
LINKS = {"src", "href", "srcset", "action", "poster", "data", "formaction", "background"}


@dataclass
class Element:
    """An element with its attributes, and all text inside."""

    tag: str
    attributes: dict
    inside: list = field(default_factory=list)  # elements and texts in order

    @property
    def text(self):
        return "".join(x if isinstance(x, str) else x.text for x in self.inside)

    def all(self, *tags, **wanted):
        """Elements inside, at any depth and in order, of some tags with some attributes."""
        found = []
        for one in self.inside:
            if isinstance(one, Element):
                has = {k: one.attributes.get(k.replace("_", "-")) for k in wanted}
                if (not tags or one.tag in tags) and has == wanted:
                    found.append(one)
                found += one.all(*tags, **wanted)
        return found

    def only(self, *tags, **wanted):
        (found,) = self.all(*tags, **wanted)
        return found


class Reader(HTMLParser):
    """Builds the tree, and refuses what a browser would have to mend."""

    def __init__(self):
        super().__init__()
        self.open = [Element("", {})]
        self.doctype = None

    def handle_decl(self, decl):
        self.doctype = decl

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag} has an attribute twice: {names}"
        element = Element(tag, dict(attrs))
        self.open[-1].inside.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open[-1].tag == tag, f"</{tag}> ends <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data):
        self.open[-1].inside.append(data)


def parsed(text):
    """Tree of a page; its elements are closed, and it says that it is HTML."""
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.doctype == "DOCTYPE html"
    assert len(reader.open) == 1, f"<{reader.open[-1].tag}> has no end"
    return reader.open[0]


def references(page):
    """Addresses that a page loads or links to, and those in its styles."""
    found = [value for one in page.all() for key, value in one.attributes.items() if key in LINKS]
    styles = [one.text for one in page.all("style")]
    styles += [one.attributes.get("style") or "" for one in page.all()]
    assert not [style for style in styles if "url(" in style or "@import" in style]
    return found
