"""Refuses images that are not pinned by digest: a tag can be another image tomorrow.

``python deploy/check_images.py`` looks at ``images.env`` and ``kubernetes/kustomization.yaml``, and fails where one is
not.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
_NAMED = re.compile(r"^(\w+)=(\S+)$", re.MULTILINE)
_PINNED = re.compile(r"[\w./:-]+:[\w.-]+@sha256:[0-9a-f]{64}")
_DIGEST = re.compile(r"^ +digest: sha256:[0-9a-f]{64}$", re.MULTILINE)
_ENTRY = re.compile(r"^ +- name: .*$", re.MULTILINE)


def problems(folder: Path = HERE) -> list[str]:
    """Returns what is wrong with the images that a folder names, and what to do."""
    found: list[str] = []
    images = _NAMED.findall((folder / "images.env").read_text())
    for name, image in images:
        if not _PINNED.fullmatch(image):
            look = f"docker buildx imagetools inspect {image.partition('@')[0]} --format '{{{{.Manifest.Digest}}}}'"
            found.append(f"images.env: {name}={image} has no digest. Look it up: {look}")
    if not images:
        found.append("images.env names no image.")
    text = (folder / "kubernetes" / "kustomization.yaml").read_text().partition("\nimages:\n")[2]
    if not text or len(_DIGEST.findall(text)) != len(_ENTRY.findall(text)) or "newTag:" in text:
        found.append(
            "kubernetes/kustomization.yaml: put the digest that your registry gave to the image of the worker into its "
            "entry of images, as digest: sha256:..., in the place of newTag."
        )
    return found


if __name__ == "__main__":
    wrong = problems()
    for line in wrong:
        sys.stderr.write(f"{line}\n")
    sys.exit(1 if wrong else 0)
