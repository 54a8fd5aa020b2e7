"""TLS certificates of servers on this machine, and authorities that sign them."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from doubles.local_process import DoubleError


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """A server's certificate (with its chain) and private key, both PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """The double of one of Amazon's authorities: its certificate, and that of a server here."""

    certificate: Path
    server: TlsFiles


def self_signed(folder: Path, *names: str, days: int = 1) -> TlsFiles:
    """Return a certificate in the folder, for names such as "DNS:localhost" and "IP:127.0.0.1", and
    for so many days. Raise DoubleError.
    """
    files = TlsFiles(folder / "server.crt", folder / "server.key")
    _certify(files, "/CN=localhost", f"subjectAltName={','.join(names)}", days=days)
    return files


def create_authority(folder: Path, name: str) -> Authority:
    """Return an authority whose files are in the folder. Raise DoubleError."""
    root = TlsFiles(folder / f"{name}-root.crt", folder / f"{name}-root.key")
    server = TlsFiles(folder / f"{name}-server.crt", folder / f"{name}-server.key")
    _certify(root, f"/CN=Connection Guard test: {name}", "keyUsage=critical,keyCertSign")
    _certify(
        server,
        "/CN=localhost",
        "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "basicConstraints=critical,CA:FALSE",
        signer=("-CA", str(root.certificate), "-CAkey", str(root.key)),
    )
    return Authority(root.certificate, server)


def _certify(
    files: TlsFiles,
    subject: str,
    *extensions: str,
    signer: tuple[str, ...] = (),
    days: int = 1,
) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        raise DoubleError("openssl, which creates certificates, is missing: install it")
    key = ["-newkey", "rsa:2048", "-nodes", "-keyout", str(files.key)]
    additions = [word for extension in extensions for word in ("-addext", extension)]
    command = [
        openssl,
        "req",
        "-x509",
        *key,
        "-days",
        str(days),
        "-subj",
        subject,
        *signer,
        *additions,
    ]
    result = subprocess.run(
        [*command, "-out", str(files.certificate)], capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        raise DoubleError(f"openssl could not certify {subject}: {' '.join(result.stderr.split())}")
