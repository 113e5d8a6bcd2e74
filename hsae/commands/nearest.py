"""Store where the starter photographs lie in the last layer, in an artifact: python -m hsae nearest ARTIFACT"""

from __future__ import annotations

import argparse
import sys

from hsae.artifacts.artifact import Artifact
from hsae.artifacts.extras import add_document
from hsae.data.samples import load_samples
from hsae.errors import HsaeError
from hsae.session import Session
from hsae.steering.nearest import photo_bank


def main(arguments: list[str]) -> int:
    """Add the document "starter" and name its file; errors a user can cause are one sentence and exit status 1."""
    parser = argparse.ArgumentParser(prog="python -m hsae nearest", description=__doc__)
    parser.add_argument("artifact", help="folder of an artifact")
    options = parser.parse_args(arguments)
    try:
        session = Session(Artifact.load(options.artifact))
        bank = photo_bank(session.backbone, load_samples("starter"), session.artifact.layers[-1], session.class_token)
        print(add_document(options.artifact, "starter", bank.to_document()))
    except HsaeError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
