"""TLS in front of a PostgreSQL that has none: a listener that agrees to encrypt as PostgreSQL does, with its own CA."""

from __future__ import annotations

import select
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SSL_REQUEST = 80877103  # PostgreSQL's frontend protocol: instead of a version, in the first message of a connection


class _Connection(socketserver.BaseRequestHandler):
    """Answers the wish for TLS with S or N, then carries bytes to the server behind."""

    server: Listener

    def handle(self) -> None:
        client, front = self.request, self.server
        while (opening := client.recv(8)) and struct.unpack("!ii", opening) != (8, SSL_REQUEST):
            client.sendall(b"N")  # GSSAPI
        if not opening:
            return
        client.sendall(b"N" if front.context is None else b"S")
        if front.context is None:
            return
        try:
            inside = front.context.wrap_socket(client, server_side=True)
        except (ssl.SSLError, ConnectionError):
            return  # the client did not like the certificate
        front.encrypted += 1
        with inside, socket.socket(socket.AF_UNIX) as behind:
            behind.connect(front.behind)
            _carry(inside, behind)


def _carry(inside: ssl.SSLSocket, behind: socket.socket) -> None:
    while True:
        ready = [inside] if inside.pending() else select.select([inside, behind], [], [])[0]
        for one in ready:
            data = one.recv(65536)
            if not data:
                return
            (behind if one is inside else inside).sendall(data)


class Listener(socketserver.ThreadingTCPServer):
    """On 127.0.0.1, with a certificate for it, or (without a context) refusing to encrypt; counts what it encrypted."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, behind: str, context: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.behind, self.context, self.encrypted = behind, context, 0

    @property
    def port(self) -> int:
        return int(self.server_address[1])


@contextmanager
def listening(folder: str, context: ssl.SSLContext | None) -> Iterator[Listener]:
    """In front of the PostgreSQL whose socket is in a folder."""
    with Listener(f"{folder}/.s.PGSQL.5432", context) as listener:
        thread = threading.Thread(target=listener.serve_forever, args=(0.05,))
        thread.start()
        yield listener
        listener.shutdown()
        thread.join()


class Authority:
    """A certificate authority of the test's own; `file` is what a client is told to trust."""

    def __init__(self, folder: Path, name: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.folder = folder
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(_pem(self._signed(self.name, self.key, x509.BasicConstraints(ca=True, path_length=0))))

    def context(self, address: str) -> ssl.SSLContext:
        """A server's side of TLS, with a certificate for one address."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
        made = self._signed(name, key, x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]))
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file = self.folder / f"{address}.pem"
        file.write_bytes(_pem(made) + secret)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _signed(self, name: x509.Name, key: Any, extension: Any) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(self.name, name, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        return builder.add_extension(extension, critical=False).sign(self.key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
