"""Tables of Markdown that programs keep: rows are put between two comments, each in the place of an earlier one of its name."""


def put(path, name, cells):
    """Puts a row into the table `name` of a file: `<!-- name -->` and `<!-- /name -->` stand around it. Rows are ordered by number."""
    text = path.read_text(encoding="utf-8")
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, _, rest = text.partition(begin)
    table, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{path} has no table {name}")
    lines = table.splitlines()
    head, rows = lines[:2], lines[2:]
    kept = [line for line in rows if first(line) != cells[0]]
    kept.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
    kept.sort(key=lambda line: (len(first(line)), first(line)))
    path.write_text(before + begin + "\n".join([*head, *kept]) + "\n" + end + after, encoding="utf-8")


def first(line):
    return line.split("|")[1].strip()
