"""
A test tool: stand-ins for the base images of the stack, where no registry can be reached.

They are Debian by debootstrap, of the same release as the images whose names they take; each Dockerfile
says what of its original it stands in for. They are made only in a daemon that the tests have started, so
that nobody takes one for the real image.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.compose.daemon import Docker, NotPossibleError, run

HERE = Path(__file__).parent
DEBIAN = "stand-in/debian:bookworm"
MIRROR = "http://deb.debian.org/debian"
#: What pip and apt of this machine need to reach their registries, if it is there.
OF_THIS_MACHINE = ("etc/ssl/certs/ca-certificates.crt", "etc/pip.conf")


def provide(docker: Docker, image: str) -> None:
    """
    See to it that an image is there: the real one, or a stand-in.

    :param docker: where.
    :param image: the name and tag of a base image, such as ``redis:7.2-bookworm``.
    :raises NotPossibleError: if it can be had neither way.
    """
    if not docker.own:
        if not docker.has_image(image):
            _pull(docker, image)
        return
    name = image.partition(":")[0]
    dockerfile = HERE / f"{name}.Dockerfile"
    try:
        _pull(docker, image)
    except NotPossibleError:
        if not docker.has_image(DEBIAN):
            _import_debian(docker)
        docker("build", "--network=host", f"--tag={image}", f"--file={dockerfile}", str(HERE))


def _pull(docker: Docker, image: str) -> None:
    command = ["docker", "pull", "--quiet", image]
    done = subprocess.run(command, env=docker.env, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        raise NotPossibleError(f"{image} cannot be pulled: {done.stderr.strip()[:300]}")


def _import_debian(docker: Docker) -> None:
    if not shutil.which("debootstrap"):
        raise NotPossibleError("no registry can be reached, and debootstrap is not installed")
    with tempfile.TemporaryDirectory(prefix="debian-") as folder:
        root = Path(folder) / "root"
        run(
            ["debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", str(root), MIRROR],
            os.environ,
        )
        for path in OF_THIS_MACHINE:
            if (Path("/") / path).is_file():
                shutil.copy(Path("/") / path, root / path)
        archive = Path(folder) / "root.tar"
        run(["tar", "--create", f"--file={archive}", f"--directory={root}", "."], os.environ)
        docker("import", str(archive), DEBIAN)
