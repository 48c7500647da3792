"""Sends one test mail at once: nothing is recorded and nothing is retried."""

from notifier.sending.mime import Mail, Sender, compose
from notifier.sending.smtp import ServerUnusable, SmtpSession
from notifier.settings import Settings
from ringfence_contracts.errors import BadInput


async def send_now(settings: Settings, mail: Mail) -> str:
    """Send the mail and return the server's reply. Raises BadInput with the reason of a failure."""
    server = settings.smtp_server()
    session = SmtpSession(server, settings.notifier_sender)
    content = compose(mail, Sender(settings.notifier_sender, settings.notifier_sender_name))
    try:
        await session.open()
        reply = await session.offer(mail.recipients)
        if reply.kind == "accepted":
            reply = await session.send_text(content)
    except ServerUnusable as error:
        raise BadInput(
            "SMTP server", server.name, f"a server that takes mail: {error}; see"
            " RINGFENCE_NOTIFIER_SMTP_HOST, _PORT, _TLS, _USER and _PASSWORD"
        ) from None  # fmt: skip
    finally:
        await session.close()
    if reply.kind != "accepted":
        raise BadInput("--to", mail.recipient, f"an address that {server.name} takes: {reply.text}")
    return reply.text
