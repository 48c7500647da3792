"""What a stack in containers is to those who look at it: compose's or Kubernetes'."""

from email.message import EmailMessage
from typing import Protocol

from ringfence_local.demo.sample import Reachable


class Mails(Protocol):
    """What the mail sink took."""

    def messages(self) -> list[EmailMessage]: ...  # the oldest first


class DeployedStack(Reachable, Protocol):
    """A stack in containers, as these proofs look at it."""

    @property
    def inbox(self) -> Mails: ...

    @property
    def api_urls(self) -> list[str]: ...  # of each replica that runs now
