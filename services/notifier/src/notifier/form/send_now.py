"""Sends one mail at once, to see how it arrives: nothing is recorded, nothing is tried again."""

from notifier.sending.mime import Mail, Sender, compose
from notifier.sending.smtp import ServerUnusable, SmtpSession
from notifier.settings import Settings
from ringfence_contracts.errors import BadInput


async def send_now(settings: Settings, mail: Mail) -> str:
    """The server's answer. Raises BadInput where the mail did not go out, with the reason."""
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
