"""Why brokers turn a client away: aiokafka says of every reason that it cannot connect."""

import ssl

from aiokafka.conn import create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from ringfence.errors import RingfenceError
from ringfence.kafka.brokers import (
    CA_FILE,
    MECHANISM,
    PASSWORD_FILE,
    PROTOCOL,
    SASL_USER,
    Bootstrap,
    Brokers,
    security_arguments,
)


class BrokersRefuse(RingfenceError):
    """The brokers turn this client away: waiting does not help."""


async def why_refused(bootstrap: Bootstrap, timeout_s: float = 10.0) -> str:
    """Why TLS or the login fails, in words that hold no secret; empty if neither does.

    The first broker that answers decides.
    """
    if isinstance(bootstrap, str):
        return ""
    for host, port in bootstrap.addresses():
        try:
            connection = await create_conn(
                host,
                port,
                request_timeout_ms=int(timeout_s * 1000),
                **security_arguments(bootstrap),
            )
        except (SaslAuthenticationFailed, ssl.SSLError) as error:
            return _in_words(error, bootstrap, f"{host}:{port}")
        except (UnsupportedSaslMechanismError, IllegalSaslStateError):
            return (
                f"{host}:{port} takes no login by {bootstrap.mechanism}:"
                f" check the port, {PROTOCOL} and {MECHANISM}"
            )
        except (KafkaError, OSError, TimeoutError):
            continue
        connection.close()
        return ""
    return ""


def _in_words(error: SaslAuthenticationFailed | ssl.SSLError, brokers: Brokers, broker: str) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        believed = brokers.ca_file or "the machine's authorities"
        return (
            f"the certificate of {broker} is not accepted: {error.verify_message}"
            f" (believed: {believed}); check {CA_FILE} and the name of the host"
        )
    if isinstance(error, ssl.SSLError):
        return f"{broker} does not speak TLS as we do: check the port and {PROTOCOL}"
    return (
        f"{broker} refuses the login {brokers.user!r} by {brokers.mechanism}:"
        f" check {SASL_USER}, {PASSWORD_FILE} and {MECHANISM}"
    )
