"""One client library, asked for one token as an application would ask. tests/it/clients/mod.rs has the protocol."""

import importlib
import importlib.metadata
import json
import sys
import time

import identity
import ordinary


def main():
    case = json.load(sys.stdin)
    way = {**identity.WAYS, **ordinary.WAYS}[case["client"], case["with"]]
    answer = {"version": importlib.metadata.version(case["client"])}
    for module in ordinary.MODULES.get(case["client"], []):
        importlib.import_module(module)
    started = time.monotonic()
    try:
        answer |= way(case)
    except Exception as error:  # what an application would see is what the test is about
        answer["error"] = {"class": name(type(error)), "text": str(error)}
    answer["waited"] = time.monotonic() - started
    print(json.dumps(answer))


def name(kind):
    """As an application that catches it would import it: without the folders that are the library's own affair."""
    parts = [part for part in kind.__module__.split(".") if not part.startswith("_")]
    return ".".join([*parts, kind.__name__]).removeprefix("builtins.")


if __name__ == "__main__":
    main()
