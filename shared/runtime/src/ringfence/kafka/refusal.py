"""Why brokers refuse a client: aiokafka reports every reason as a failed connection."""

import ssl

from aiokafka.conn import create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

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
from ringfence.transient import ConnectionProblem
from ringfence_contracts.errors import RingfenceError


class BrokersRefuse(RingfenceError):
    """The brokers refuse this client; a retry does not help."""


async def connection_problem(
    bootstrap: Bootstrap, timeout_s: float = 10.0
) -> ConnectionProblem | None:
    """Why TLS or the login fails at the first broker that answers; None if neither fails."""
    if isinstance(bootstrap, str):
        return None
    for host, port in bootstrap.addresses:
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
            message = f"{host}:{port} takes no login by {bootstrap.mechanism}"
            return ConnectionProblem(message, f"check the port, {PROTOCOL} and {MECHANISM}")
        except (KafkaError, OSError, TimeoutError):
            continue
        connection.close()
        return None
    return None


def _in_words(
    error: SaslAuthenticationFailed | ssl.SSLError, brokers: Brokers, broker: str
) -> ConnectionProblem:
    if isinstance(error, ssl.SSLCertVerificationError):
        believed = brokers.ca_file or "the machine's authorities"
        message = (
            f"the certificate of {broker} is not accepted by {believed}: {error.verify_message}"
        )
        return ConnectionProblem(
            message, f"check {CA_FILE}, and that the certificate names this host"
        )
    if isinstance(error, ssl.SSLError):
        return ConnectionProblem(f"{broker} does not speak TLS", f"check the port and {PROTOCOL}")
    message = f"{broker} refuses the login {brokers.user!r} by {brokers.mechanism}"
    return ConnectionProblem(message, f"check {SASL_USER}, {PASSWORD_FILE} and {MECHANISM}")
