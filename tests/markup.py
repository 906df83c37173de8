"""HTML whose tags must match, for tests of what is shown."""

from html.parser import HTMLParser


class Markup(HTMLParser):
    """The text of a piece of HTML; an AssertionError where a tag doesn't match."""

    void = frozenset({"meta", "img", "br"})

    def __init__(self, html):
        super().__init__()
        self.open, self.words = [], []
        self.feed(html)
        assert not self.open
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.void:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)
