"""Checks JUnit reports as other programs read them. Called by `ci/junit-readers`."""

import argparse
import json
import sys
from pathlib import Path

import junitparser
import xmlschema
import xunitparser
from lxml import etree

SCHEMA = Path("runner/cli/tests/schema")


class Checks:
    """What was checked and what did not hold."""

    def __init__(self):
        self.done = 0
        self.wrong = []

    def that(self, holds, what):
        self.done += 1
        if not holds:
            self.wrong.append(what)


def valid(path, validators):
    """Whether each of two independent validators accepts a document."""
    by_xmlschema, by_libxml2 = validators
    document = etree.parse(str(path))
    return by_xmlschema.is_valid(str(path)), by_libxml2.validate(document)


def counted_by_junitparser(path):
    xml = junitparser.JUnitXml.fromfile(str(path))
    suites = [xml] if isinstance(xml, junitparser.TestSuite) else list(xml)
    counts = dict(suites=len(suites), tests=0, failures=0, errors=0, skipped=0)
    for case in (case for suite in suites for case in suite):
        counts["tests"] += 1
        for result in case.result:
            kind = type(result).__name__
            name = {"Failure": "failures", "Error": "errors", "Skipped": "skipped"}.get(kind)
            if name:
                counts[name] += 1
        # Whatever the text holds, it must be readable.
        for text in (case.name, case.classname, case.system_out):
            if text is not None:
                text.encode()
    declared = {
        name: sum(getattr(suite, name) for suite in suites)
        for name in ("tests", "failures", "errors", "skipped")
    }
    return counts, declared


def counted_by_xunitparser(path):
    with open(path, encoding="utf-8") as file:
        suite, result = xunitparser.parse(file)
    return dict(
        suites=len(list(suite)) if etree.parse(str(path)).getroot().tag == "testsuites" else 1,
        tests=result.testsRun,
        failures=len(result.failures),
        errors=len(result.errors),
        skipped=len(result.skipped),
    )


def read_back(checks, path, validators, expected=None):
    """Both validators accept the report, both readers agree with each other and with it."""
    checks.that(valid(path, validators) == (True, True), f"{path} is not valid")
    first, declared = counted_by_junitparser(path)
    second = counted_by_xunitparser(path)
    for name in ("tests", "failures", "errors", "skipped"):
        checks.that(first[name] == second[name], f"{path}: the readers disagree on {name}: {first} {second}")
        checks.that(first[name] == declared[name], f"{path}: {name} is declared as {declared[name]}")
    if expected is not None:
        checks.that(first == expected, f"{path}: {expected} was meant, {first} was read")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--samples", type=Path)
    arguments.add_argument("--runs", type=Path)
    arguments.add_argument("--files", nargs="+", type=Path, default=[])
    options = arguments.parse_args()
    schema = str(SCHEMA / "junit.xsd")
    validators = xmlschema.XMLSchema(schema), etree.XMLSchema(etree.parse(schema))
    checks = Checks()
    reports = 0

    for path in sorted((SCHEMA / "refused").glob("*.xml")):
        checks.that(valid(path, validators) == (False, False), f"{path} must be refused")
    for path in sorted((SCHEMA / "accepted").glob("*.xml")):
        checks.that(valid(path, validators) == (True, True), f"{path} must be accepted")
    if options.samples:
        samples = sorted((options.samples / "junit").glob("*.xml"))
        checks.that(len(samples) >= 4, "samples are missing")
        for path in samples:
            read_back(checks, path, validators, json.loads(path.with_suffix(".json").read_text()))
        for path in sorted((options.samples / "junit-gitlab").glob("*.xml")):
            etree.parse(str(path))
            cases = etree.parse(str(path)).iter("testcase")
            checks.that(all(case.get("file") for case in cases), f"{path}: a case has no file")
        reports += len(samples)
    files = list(options.files)
    if options.runs:
        files += sorted(options.runs.glob("*/junit.xml"))
    for path in files:
        read_back(checks, path, validators)
    reports += len(files)

    for what in checks.wrong:
        print(f"  ✗ {what}", file=sys.stderr)
    print(f"{reports} reports read by two readers, {checks.done} checks, {len(checks.wrong)} wrong")
    return 1 if checks.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
