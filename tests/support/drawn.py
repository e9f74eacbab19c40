"""What tests of figures share: axes to draw on, and what can be read off them."""

import itertools

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text


def on(figsize, *shape, **options):
    """A figure and its axes."""
    figure = Figure(figsize=figsize)
    return figure, figure.subplots(*shape, **options)


def panels(*shape, **options):
    return Figure(figsize=(9, 3)).subplots(*shape, **options)


def by_label(ax):
    """Lines by label."""
    return {line.get_label(): line for line in ax.lines}


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def labels(texts):
    return [text.get_text() for text in texts]


def check_labels(figure, monkeypatch):
    """Boxes of all texts that are drawn against each other and the edges of the figure."""
    draw = Text.draw
    found = {}

    def note(text, renderer):
        if text.get_visible() and text.get_text().strip():
            found[id(text)] = text
        draw(text, renderer)

    canvas = FigureCanvasAgg(figure)
    with monkeypatch.context() as patch:
        patch.setattr(Text, "draw", note)
        canvas.draw()
    boxes = [
        (text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in found.values()
    ]
    assert len(boxes) > 8
    width, height = canvas.get_width_height()
    for text, box in boxes:
        assert min(box.x0, box.y0, width - box.x1, height - box.y1) > -1, text
    for (a, one), (b, other) in itertools.combinations(boxes, 2):
        assert not one.padded(-1).overlaps(other.padded(-1)), (a, b)
