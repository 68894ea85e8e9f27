# SPDX-License-Identifier: MIT
"""The deepest chains as a flame graph: as wide as their bytes, each call above its caller.

No tool for this is packaged in Debian.  fold() writes what all of them read; draw() is a small one.
"""

from html import escape

WIDTH, ROW, LETTER = 1200, 18, 6.6  # pixels


def fold(rows):
    """Return a line for each frame: the way in, the functions down to it, and its own bytes."""
    lines = []
    for row in rows:
        path = [row['way']]
        for name, size in row['chain']:
            path.append(name)
            if size:
                lines.append(f'{";".join(path)} {size}')
    return '\n'.join(lines) + '\n'


def box(x, y, width, color, text, title):
    shown = text[:max(0, int((width - 4) / LETTER))]
    return f'<g><title>{escape(title)}</title><rect x="{x:.1f}" y="{y}" width="{width:.1f}" ' \
           f'height="{ROW - 1}" fill="{color}"/><text x="{x + 3:.1f}" y="{y + 13}">' \
           f'{escape(shown)}</text></g>'


def frame(height, boxes):
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" ' \
           f'font-family="monospace" font-size="11">\n' + '\n'.join(boxes) + '\n</svg>\n'


def draw(rows):
    """Return an SVG picture of the chains of these rows, side by side."""
    whole = sum(row['bytes'] for row in rows)
    height = (max(len(row['chain']) for row in rows) + 2) * ROW
    boxes, x = [], 0
    for row in rows:
        left, y = row['bytes'], height - ROW
        title = f'{row["way"]}: {left} bytes'
        boxes.append(box(x, y, left * WIDTH / whole - 1, '#b0c4de', title, title))
        for name, size in row['chain']:
            y -= ROW
            color = '#e8a33d' if name.startswith('[') else f'hsl({50 - min(size, 400) / 8},90%,70%)'
            boxes.append(box(x, y, max(left * WIDTH / whole - 1, 0.5), color, f'{name} {size}',
                             f'{name}: {size} bytes of its own, {left} with what it calls'))
            left -= size
        x += row['bytes'] * WIDTH / whole
    return frame(height, boxes)


def draw_stacks(stacks, unit):
    """Return an SVG picture of [functions, each called by the one before, amount] of some unit."""
    tree = [0, {}]
    for names, amount in stacks:
        at = tree
        at[0] += amount
        for name in names:
            at = at[1].setdefault(name, [0, {}])
            at[0] += amount
    height = (depth(tree) + 1) * ROW
    boxes = list(stacked('all', tree, 0, height - ROW, WIDTH / max(1, tree[0]), unit))
    return frame(height, boxes)


def depth(node):
    return 1 + max(map(depth, node[1].values()), default=0)


def stacked(name, node, x, y, scale, unit):
    """Yield a box for the function, and for those it calls, which stand above it."""
    amount, below = node
    width = amount * scale
    if width < 0.5:
        return
    color = f'hsl({30 + sum(name.encode()) % 30},85%,68%)'
    yield box(x, y, width - 0.5, color, name, f'{name}: {amount:,} {unit}')
    for next_name in sorted(below):
        yield from stacked(next_name, below[next_name], x, y - ROW, scale, unit)
        x += below[next_name][0] * scale
