"""A second listener of the embedded broker, with TLS and logins: for tests of secure clients."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
_AUTHORIZER = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"


@dataclass(frozen=True)
class SecureListener:
    """SASL_SSL with SCRAM-SHA-512, SCRAM-SHA-256 and PLAIN, with the same logins for each.

    `certificate`: a PEM file with an unencrypted PKCS 8 key and the certificate chain. `logins`:
    password by user, written when the data folder is formatted; only letters and digits.
    `administrators` are the users that may do everything; the others need ACLs. Clients of the
    plain text listener may do everything too, because it is reachable from this machine only.
    """

    certificate: Path
    logins: Mapping[str, str]
    administrators: Sequence[str]

    def properties(self) -> str:
        """Lines for the broker's properties, without the addresses."""
        users = " ".join(f'user_{user}="{word}"' for user, word in self.logins.items())
        listener = "listener.name.sasl_ssl"
        powerful = ";".join(f"User:{user}" for user in ("ANONYMOUS", *self.administrators))
        return (
            f"authorizer.class.name={_AUTHORIZER}\n"
            f"super.users={powerful}\n"
            f"{listener}.ssl.keystore.type=PEM\n"
            f"{listener}.ssl.keystore.location={self.certificate}\n"
            f"{listener}.sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256,PLAIN\n"
            f"{listener}.scram-sha-512.sasl.jaas.config={_SCRAM}\n"
            f"{listener}.scram-sha-256.sasl.jaas.config={_SCRAM}\n"
            f"{listener}.plain.sasl.jaas.config={_PLAIN} {users};\n"
        )

    def format_arguments(self) -> list[str]:
        """Arguments for `kafka-storage format`, so that the logins exist from the start."""
        arguments: list[str] = []
        for user, word in self.logins.items():
            for mechanism in ("SCRAM-SHA-512", "SCRAM-SHA-256"):
                arguments += ["--add-scram", f"{mechanism}=[name={user},password={word}]"]
        return arguments
