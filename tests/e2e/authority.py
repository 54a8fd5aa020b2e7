"""A certificate authority of the test's own, and what it vouches for."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from doubles.embedded_postgres import TlsFiles

HOSTS = "DNS:localhost,IP:127.0.0.1"


@dataclass(frozen=True, slots=True)
class Authority:
    """Stands in for one of Amazon's: its own certificate, and that of a server on this machine."""

    certificate: Path
    server: TlsFiles


def create_authority(folder: Path, name: str) -> Authority:
    """Its files lie in the folder, and are valid for a day."""
    root = TlsFiles(folder / f"{name}-root.crt", folder / f"{name}-root.key")
    server = TlsFiles(folder / f"{name}-server.crt", folder / f"{name}-server.key")
    _certify(root, f"/CN=Connection Guard end-to-end test: {name}", "keyUsage=critical,keyCertSign")
    _certify(
        server,
        "/CN=localhost",
        *(f"subjectAltName={HOSTS}", "basicConstraints=critical,CA:FALSE"),
        signer=("-CA", str(root.certificate), "-CAkey", str(root.key)),
    )
    return Authority(root.certificate, server)


def _certify(files: TlsFiles, subject: str, *extensions: str, signer: tuple[str, ...] = ()) -> None:
    result = subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "1",
                "-subj",
                subject,
                *signer,
            ),
            *(word for extension in extensions for word in ("-addext", extension)),
            *("-keyout", str(files.key), "-out", str(files.certificate)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, f"openssl could not certify {subject}:\n{result.stderr}"
