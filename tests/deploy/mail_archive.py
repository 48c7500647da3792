"""The mails of a mail sink in a container, read as an archive of its folder."""

import tarfile
import tempfile
from email import message_from_bytes, policy
from email.message import EmailMessage
from io import BytesIO

from tests.deploy.containers import Engine


def read_mails(engine: Engine, container: str) -> list[EmailMessage]:
    """The mails in the container's `/inbox`, the oldest first."""
    with tempfile.TemporaryFile() as file:
        engine.write(file, "exec", container, "tar", "-C", "/inbox", "-c", ".")
        file.seek(0)
        return _mails(BytesIO(file.read()))


def _mails(packed: BytesIO) -> list[EmailMessage]:
    found: list[tuple[str, EmailMessage]] = []
    with tarfile.open(fileobj=packed) as files:
        for member in files:
            content = files.extractfile(member) if member.name.endswith(".eml") else None
            if content is not None:
                mail = message_from_bytes(content.read(), policy=policy.default)
                found.append((member.name, mail))
    return [mail for _, mail in sorted(found, key=lambda item: item[0])]
