"""Pictures for the cards: SVG, the same text for the same figures."""

from dataclasses import dataclass
from html import escape

BLUE, ORANGE, GREEN, VIOLET, GREY = "#1f5fa8", "#c8501e", "#2a7f4f", "#7a4ba0", "#8a8a8a"
SHADE = "#f6e3b4"
WIDTH, LEFT, RIGHT, TOP, BOTTOM = 760, 96, 24, 64, 48


@dataclass(frozen=True)
class Axis:
    label: str
    low: float
    high: float
    ticks: list  # (value, text)


def numbers(label, low, high, step):
    """An axis with a tick every `step`."""
    count = round((high - low) / step)
    return Axis(label, low, high, [(low + i * step, f"{round(low + i * step, 6):g}") for i in range(count + 1)])


def rows(names):
    """An axis with a row for each name, the first on top."""
    return Axis("", len(names) - 0.5, -0.5, list(enumerate(names)))


class Picture:
    def __init__(self, title, x, y, height=340):
        self.x, self.y, self.height = x, y, height
        self.parts, self.names = [], {}
        self.text(LEFT, 22, title, "font-size='15' font-weight='bold'")

    def right(self, value):
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - self.x.low) / (self.x.high - self.x.low)

    def down(self, value):
        return self.height - BOTTOM - (self.height - TOP - BOTTOM) * (value - self.y.low) / (self.y.high - self.y.low)

    def band(self, first, last, name=None):
        """Shades all heights from one x to another."""
        self._name(name, SHADE)
        left, right = self.right(first), self.right(last)
        size = f"width='{max(right - left, 1):.1f}' height='{self.height - TOP - BOTTOM}'"
        self.parts.insert(0, f"<rect x='{left:.1f}' y='{TOP}' {size} fill='{SHADE}'/>")

    def line(self, points, colour, name=None):
        self._name(name, colour)
        path = " ".join(f"{self.right(x):.1f},{self.down(y):.1f}" for x, y in points)
        self.parts.append(f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='1.5'/>")

    def dots(self, points, colour, name=None):
        self._name(name, colour)
        places = "".join(f"<use href='#dot' x='{self.right(x):.1f}' y='{self.down(y):.1f}'/>" for x, y in points)
        self.parts.append(f"<g fill='{colour}' fill-opacity='0.55'>{places}</g>")

    def bars(self, points, colour, name=None):
        """From the left edge to each x, in the row y."""
        self._name(name, colour)
        for x, y in points:
            size = f"width='{self.right(x) - LEFT:.1f}' height='10'"
            self.parts.append(f"<rect x='{LEFT}' y='{self.down(y) - 5:.1f}' {size} fill='{colour}'/>")

    def mark_x(self, value, text):
        """A dashed upright line."""
        self._dashed(self.right(value), TOP, self.right(value), self.height - BOTTOM)
        self.text(self.right(value), TOP - 4, text, "text-anchor='middle'")

    def mark_y(self, value, text):
        """A dashed level line."""
        self._dashed(LEFT, self.down(value), WIDTH - RIGHT, self.down(value))
        self.text(WIDTH - RIGHT, self.down(value) - 4, text, "text-anchor='end'")

    def text(self, x, y, text, more=""):
        self.parts.append(f"<text x='{x:.1f}' y='{y:.1f}' {more}>{escape(text)}</text>")

    def write(self, path):
        end = self.height - BOTTOM
        frame = [f"<path d='M{LEFT} {TOP}V{end}H{WIDTH - RIGHT}' fill='none' stroke='#444'/>"]
        for value, text in self.x.ticks:
            at = self.right(value)
            frame.append(f"<path d='M{at:.1f} {end}v5' stroke='#444'/>")
            frame.append(f"<text x='{at:.1f}' y='{end + 19}' text-anchor='middle'>{escape(text)}</text>")
        for value, text in self.y.ticks:
            at = self.down(value)
            frame.append(f"<path d='M{LEFT} {at:.1f}h-5' stroke='#444'/>")
            frame.append(f"<text x='{LEFT - 9}' y='{at + 4:.1f}' text-anchor='end'>{escape(text)}</text>")
        middle = (LEFT + WIDTH - RIGHT) / 2
        frame.append(f"<text x='{middle}' y='{self.height - 8}' text-anchor='middle'>{escape(self.x.label)}</text>")
        place = f"transform='translate(48 {(TOP + end) / 2}) rotate(-90)'"
        frame.append(f"<text {place} text-anchor='middle'>{escape(self.y.label)}</text>")
        at = LEFT
        for name, colour in self.names.items():
            frame.append(f"<rect x='{at}' y='36' width='12' height='12' fill='{colour}'/>")
            frame.append(f"<text x='{at + 17}' y='46'>{escape(name)}</text>")
            at += 36 + 7 * len(name)
        head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {self.height}' width='{WIDTH}'"
        lines = [
            f"{head} font-family='sans-serif' font-size='12' fill='#222'>",
            "<defs><circle id='dot' r='3'/></defs>",
            "<rect width='100%' height='100%' fill='#fff'/>",
            *self.parts,
            *frame,
            "</svg>",
        ]
        path.write_text("\n".join(lines) + "\n", "utf-8")

    def _dashed(self, *ends):
        self.parts.append("<path d='M{:.1f} {:.1f}L{:.1f} {:.1f}' stroke='#222' stroke-dasharray='5 4'/>".format(*ends))

    def _name(self, name, colour):
        if name:
            self.names[name] = colour
