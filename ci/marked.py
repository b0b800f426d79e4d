"""Parts of a page that a program writes, between two comments: `<!-- NAME -->` and `<!-- end of NAME -->`."""
import pathlib


def marks(name):
    return f"<!-- {name} -->", f"<!-- end of {name} -->"


def split(page, name):
    """What stands before such a part, in it, and behind it."""
    text = pathlib.Path(page).read_text(encoding="utf-8")
    begin, end = marks(name)
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise SystemExit(f"{page}: it needs one `{begin}` and one `{end}` behind it")
    before, rest = text.split(begin)
    inside, behind = rest.split(end)
    return before + begin, inside, end + behind


def put(page, name, inside):
    """Replaces such a part."""
    before, _, behind = split(page, name)
    pathlib.Path(page).write_text(f"{before}\n{inside.strip()}\n{behind}", encoding="utf-8")


def rows(inside):
    """The rows of a table by their first cell, and its head."""
    lines = [line for line in inside.strip().splitlines() if line.startswith("|")]
    return lines[:2], {line.split("|")[1].strip(): line for line in lines[2:]}


def add(page, name, new):
    """Puts rows, by their first cells, into such a table, in the order of these cells."""
    _, inside, _ = split(page, name)
    head, there = rows(inside)
    there.update(new)
    number = lambda cell: (int(cell), "") if cell.isdigit() else (10**6, cell)
    put(page, name, "\n".join([*head, *(there[cell] for cell in sorted(there, key=number))]))
